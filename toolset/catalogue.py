"""The catalogue: one YAML file a backend, read and checked.

A file says how to recognise the backend, where its API is, how to prove it, and what HolmesGPT
toolset it becomes; ``docs/backends.md`` explains the format. No backend's name appears in code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from marshmallow import ValidationError, fields, post_load, validate

from toolset import schema
from toolset.backend import (
    Backend,
    EndpointRule,
    Exchange,
    Expectation,
    Recognition,
    ToolsetRule,
)
from toolset.schema import Strict
from toolset.text import is_url_path
from toolset.yaml_source import YamlError, parse

CUSTOM = "custom"
"""The one entry that recognises nothing by itself: an annotation names the type."""

_MANY = validate.OneOf(["instances", "clusters", "separate"])


class CatalogueError(ValueError):
    """A file of the catalogue that cannot be used; the message names file, line, path and cure."""


class Catalogue(Mapping[str, Backend]):
    """Backends by name, in alphabetical order."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self._backends = {backend.name: backend for backend in sorted(backends, key=lambda b: b.name)}

    def __getitem__(self, name: str) -> Backend:
        return self._backends[name]

    def __iter__(self) -> Any:
        return iter(self._backends)

    def __len__(self) -> int:
        return len(self._backends)


@cache
def bundled() -> Catalogue:
    """The catalogue that ships with the package.

    Raises:
        CatalogueError: a file is broken, which a test of every release excludes.
    """
    folder = files("toolset").joinpath("backends")
    texts = {item.name: item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".yaml")}
    return Catalogue(read_backend(text, name) for name, text in texts.items())


def read_backend(text: str, source: str) -> Backend:
    """One file of the catalogue.

    Raises:
        CatalogueError: not YAML, or not what the format asks for.
    """
    try:
        return schema.load(_BackendSchema(), parse(text), Backend)
    except YamlError as error:
        raise CatalogueError(f"{source}: {error}") from error


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValidationError(f"{pattern!r} is no regular expression: {error}") from error


class _Pattern(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return _compiled(super()._deserialize(value, attr, data, **kwargs))


class _JsonSchema(fields.Field[Draft202012Validator]):
    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Draft202012Validator:
        try:
            Draft202012Validator.check_schema(value)
        except SchemaError as error:
            raise ValidationError(f"no JSON Schema: {error.message}") from error
        return Draft202012Validator(value)


class _Port(fields.Field[Any]):
    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | str) or value in {"", 0}:
            raise ValidationError("expected a port's name or number")
        return value


class _Tuple(fields.List[Any]):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return tuple(super()._deserialize(value, attr, data, **kwargs))


def _labels() -> fields.Field[Any]:
    return _Tuple(fields.Dict(keys=fields.String(), values=fields.String(), validate=validate.Length(min=1)))


def _words() -> fields.Field[Any]:
    return _Tuple(fields.String(validate=validate.Regexp(r"[a-z0-9]+(-[a-z0-9]+)*$")))


class _RecognitionSchema(Strict):
    words = _words()
    labels = _labels()
    port_signature = _Tuple(_Port())
    not_words = _words()
    not_labels = _labels()

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Recognition:
        return Recognition(**data)


def _check_prefix(path: str) -> None:
    if path and (not is_url_path(path) or path.endswith("/")):
        raise ValidationError(f"{path!r} is no path prefix: expected '' or /like/this")


class _EndpointSchema(Strict):
    ports = _Tuple(_Port())
    not_ports = _Tuple(_Port())
    paths = _Tuple(fields.String(validate=_check_prefix), validate=validate.Length(min=1))

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> EndpointRule:
        return EndpointRule(**data)


class _ExchangeSchema(Strict):
    get = fields.String(required=True, validate=validate.Regexp(r"(/[^\s#]*|\$health)$"))
    status = _Tuple(fields.Integer(strict=True, validate=validate.Range(100, 599)))
    headers = fields.Dict(keys=fields.String(), values=_Pattern())
    text = _Pattern()
    json = _JsonSchema()

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Exchange:
        return Exchange(get=data.pop("get"), expect=Expectation(**data))


class _ToolsetSchema(Strict):
    name = fields.String(required=True, validate=validate.Regexp(r"[A-Za-z0-9_/$-]+$"))
    type = fields.String(validate=validate.OneOf(["http"]))
    config = fields.Dict(keys=fields.String(), required=True)
    many = fields.String(required=True, validate=_MANY)
    instructions = fields.String()
    check_seconds = fields.Integer(strict=True, validate=validate.Range(1, 120))

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> ToolsetRule:
        return ToolsetRule(**data)


class _BackendSchema(Strict):
    name = fields.String(required=True, validate=validate.Regexp(r"[a-z][a-z0-9]*$"))
    title = fields.String(required=True, validate=validate.Length(1, 40))
    description = fields.String(required=True, validate=validate.Length(1, 120))
    recognise = fields.Nested(_RecognitionSchema, load_default=Recognition())
    endpoint = fields.Nested(_EndpointSchema, load_default=EndpointRule())
    proofs = _Tuple(_Tuple(fields.Nested(_ExchangeSchema), validate=validate.Length(min=1)), required=True)
    refusals = _Tuple(fields.Nested(_ExchangeSchema))
    health = fields.Nested(_ExchangeSchema, required=True)
    toolsets = _Tuple(fields.Nested(_ToolsetSchema), required=True)
    trusted_only = fields.Boolean()
