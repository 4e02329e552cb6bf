"""Checks the documents that HolmesGPT reads: what we generate, and the overrides that people write.

HolmesGPT refuses a whole file for some mistakes and a whole toolset for others; both are found here
first. Dangerous is what would run commands or carry a secret: nothing of the kind is ever generated,
and overrides that ask for it are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from marshmallow import Schema, fields, validate

from toolset.names import GENERATED_KEYS
from toolset.schema import Strict, flatten
from toolset.text import why_unsafe
from toolset.yaml_source import Document, Path, Problem, YamlError, parse

MAX_BYTES = 1024 * 1024 - 64 * 1024
"""What fits into a ConfigMap (1 MiB, Kubernetes: ConfigMaps) beside its metadata."""

MAX_MARKS = 100_000
"""Lines and separators of one text: what we generate fills 1 MiB with half as many."""

MAX_ENTRIES = 10_000
"""Toolsets or Services of one document: as many would not fit into a ConfigMap."""

SECTIONS = ("toolsets", "mcp_servers")

ENV = re.compile(r"\{\{ env\.([A-Za-z_][A-Za-z0-9_]*) \}\}")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_SECRET_FIELD = re.compile(r"(password|passwd|api_?key|token|secret|authorization|credential)", re.IGNORECASE)
_NOT_SECRET = frozenset({"token_url", "secret_name"})
_RUNS_COMMANDS = ("tools", "prerequisites", "command")
_USERINFO = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")


class _Entry(Strict):
    """One toolset (HolmesGPT: fields that an entry may have, whatever its type)."""

    enabled = fields.Boolean(truthy={True}, falsy={False})
    type = fields.String(validate=validate.OneOf(["http", "database", "mongodb", "mcp"]))
    subtype = fields.String()
    description = fields.String()
    config = fields.Dict(keys=fields.String())
    llm_instructions = fields.String()
    approval_required_tools = fields.List(fields.String())
    status_refresh_interval_seconds = fields.Integer(strict=True, validate=validate.Range(min=1))


class _File(Strict):
    toolsets = fields.Dict(
        keys=fields.String(), values=fields.Nested(_Entry), validate=validate.Length(min=1)
    )
    mcp_servers = fields.Dict(
        keys=fields.String(), values=fields.Nested(_Entry), validate=validate.Length(min=1)
    )


class _Tool(Strict):
    name = fields.String(required=True)
    namespace = fields.String(required=True)
    uid = fields.String(required=True)
    type = fields.String(required=True)
    description = fields.String(required=True)
    url = fields.String(required=True, validate=validate.Regexp(r"[a-z]+://[^\s/]+"))
    status = fields.String(required=True)
    verify_ssl = fields.Boolean(required=True)
    toolsets = fields.List(fields.String(), required=True)


class _ToolsetJson(Strict):
    tools = fields.List(fields.Nested(_Tool), required=True)


class _ServiceLine(Strict):
    name = fields.String(required=True)
    namespace = fields.String(required=True)
    type = fields.String(required=True)
    endpoint = fields.String(required=True)
    status = fields.String(required=True)


class _ServicesYaml(Strict):
    services = fields.List(fields.Nested(_ServiceLine), required=True)


def toolset_file_problems(document: Document, *, allowed_env: frozenset[str] | None = None) -> list[Problem]:
    """Everything wrong with a toolset file or overrides; empty when HolmesGPT will load it.

    ``allowed_env`` are the variables that ``{{ env.NAME }}`` may name; None allows any.
    """
    data = document.data
    if not isinstance(data, Mapping) or not any(section in data for section in SECTIONS):
        return [document.problem((), "expected a mapping with toolsets: or mcp_servers:")]
    problems = schema_problems(_File(), document)
    problems += [document.problem(path, message) for path, message in _content(data, (), allowed_env)]
    return sorted(problems, key=lambda problem: (problem.line, problem.path))


def toolset_json_problems(document: Document) -> list[Problem]:
    """Everything wrong with a ``toolset.json``."""
    return schema_problems(_ToolsetJson(), document)


def services_problems(document: Document) -> list[Problem]:
    """Everything wrong with a ``services.yaml``."""
    return schema_problems(_ServicesYaml(), document)


def generated_problems(
    key: str, text: str, *, allowed_env: frozenset[str] | None = None
) -> Sequence[Problem]:
    """Everything wrong with one key of a generated ConfigMap; empty when it may be published."""
    if key not in GENERATED_KEYS:
        return [Problem(0, "", f"no key of a generated ConfigMap; those are {', '.join(GENERATED_KEYS)}")]
    try:
        document = _parse_bounded(text)
    except YamlError as error:
        return error.problems
    if key == "toolset.json":
        return toolset_json_problems(document)
    if key == "services.yaml":
        return services_problems(document)
    return toolset_file_problems(document, allowed_env=allowed_env)


def overrides_problems(text: str, *, allowed_env: frozenset[str] | None = None) -> Sequence[Problem]:
    """Everything wrong with overrides; empty when they will be merged, or when there are none."""
    try:
        document = _parse_bounded(text)
    except YamlError as error:
        return error.problems
    return toolset_file_problems(document, allowed_env=allowed_env) if document.data is not None else ()


def _parse_bounded(text: str) -> Document:
    """Reads a text of somebody who may want us to be busy for long.

    Raises:
        YamlError: as :func:`~toolset.yaml_source.parse`, and what would take seconds to check.
    """
    if sum(text.count(mark) for mark in ("\n", ",", "[", "{", "- ", "? ")) > MAX_MARKS:
        raise YamlError([Problem(0, "", f"more than {MAX_MARKS} lines and values: too many to check")])
    document = parse(text)
    for section, value in document.data.items() if isinstance(document.data, Mapping) else ():
        if isinstance(value, list | Mapping) and len(value) > MAX_ENTRIES:
            raise YamlError([document.problem((section,), f"more than {MAX_ENTRIES} entries")])
    return document


def schema_problems(schema: Schema, document: Document) -> list[Problem]:
    """What a marshmallow schema finds, with lines."""
    errors = schema.validate(document.data)
    return [document.problem(path, message) for path, message in flatten(errors)]


def entry_problems(section: str, name: str, entry: Any) -> list[str]:
    """Why HolmesGPT would refuse its *whole* file because of one entry; empty when it would not.

    Used on what people wrote for HolmesGPT: an entry that is merely unwise passes as they wrote it.
    """
    if not isinstance(entry, Mapping):
        return [f"{section}.{name}: expected a mapping, found {type(entry).__name__}"]
    return [
        f"{section}: the key {path[-1]!r} holds a dot"
        for path, value in walk({name: entry}, (section,))
        if isinstance(path[-1], str) and "." in path[-1] and value is not None
    ]


def text_problems(key: str, value: str, allowed_env: frozenset[str]) -> list[str]:
    """Why a value that HolmesGPT will read as ``key`` is refused; empty when it is not."""
    return list(_text(key, value, allowed_env))


def _content(
    data: Mapping[str, Any], path: Path, allowed_env: frozenset[str] | None
) -> Iterator[tuple[Path, str]]:
    for place, value in walk(data, path):
        key = place[-1]
        if isinstance(key, str) and "." in key:
            yield place, "a key must not hold a dot: HolmesGPT would refuse the whole file"
        if isinstance(key, str) and (reason := why_unsafe(key)):
            yield place, f"the key {reason}"
        if key in _RUNS_COMMANDS or (key == "mode" and value == "stdio"):
            yield place, "would make HolmesGPT run commands: not allowed"
        if isinstance(value, str):
            yield from ((place, message) for message in _text(str(key), value, allowed_env))


def _text(key: str, value: str, allowed_env: frozenset[str] | None) -> Iterator[str]:
    if _TEMPLATE.search(ENV.sub("", value)):
        yield "holds a template; only {{ env.NAME }} is allowed"
    for name in ENV.findall(value):
        if allowed_env is not None and name not in allowed_env:
            yield f"names the variable {name}, which credentials.allowed_env does not list"
    if _SECRET_FIELD.search(key) and key not in _NOT_SECRET and not ENV.search(value):
        yield "looks like a secret: write {{ env.NAME }} and give HolmesGPT that variable"
    userinfo = _USERINFO.search(value)
    if userinfo and not ENV.search(userinfo.group(1)):
        yield "holds a password in a URL: write {{ env.NAME }} and give HolmesGPT that variable"


def walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every value of a document below its root, with its path."""
    if path:
        yield path, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from walk(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, (*path, index))
