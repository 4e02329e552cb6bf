"""The service's configuration: ``config.yaml``, root ``service_discovery:``.

Every key is optional. A key that is not known, or a value that is not allowed, is an error with its
path, its line and what is allowed: a misspelt ``exclude_namespaces`` must not go unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of
from datetime import timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from toolset import schema
from toolset.credentials import Binding, Credentials
from toolset.documents import text_problems
from toolset.duration import Duration
from toolset.patterns import Pattern
from toolset.schema import Strict
from toolset.text import is_url_path
from toolset.words import split
from toolset.yaml_source import Document, Path, Problem, YamlError, parse

ROOT = "service_discovery"

Logins = Mapping[str, tuple[tuple[str, ...], ...]]
"""What each type needs where it has a login, for each way of it."""

WRITTEN_OUT = """\
# Every key is optional; these are the defaults. A change is in force at once, without a restart.
service_discovery:
  discovery_interval: "5m"
  cache_ttl: "10m"
  health_check_interval: "30s"
  namespaces: []
  exclude_namespaces: []
  trusted_namespaces: []
"""
"""What the service writes where there is no configuration, for operators to change."""

NEW_TYPE = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")

MAX_WORD = 63
"""Characters of a name or a port that a pattern looks for: no Service has longer ones."""

_SECOND, _MINUTE, _HOUR, _DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
_NAMESPACE = validate.Regexp(
    r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z", error="{input!r} is no namespace's name"
)


@dataclass(frozen=True)
class Reconciliation:
    """Whether what we generated is put right when somebody else changed it."""

    enabled: bool = True


@dataclass(frozen=True)
class Config:
    """``service_discovery``, with the defaults that hold where it says nothing."""

    enabled: bool = True
    """Whether anything is discovered at all."""
    discovery_interval: timedelta = 5 * _MINUTE
    """How often the whole cluster is looked at again, if nothing prompts it earlier."""
    cache_ttl: timedelta = 10 * _MINUTE
    """How long a proof is good without asking again."""
    health_check_interval: timedelta = 30 * _SECOND
    """How often a proven backend's health is asked."""
    skip_health_check: bool = False
    """Ask nothing: what is recognised is written, marked unproven."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to look into; none means all."""
    exclude_namespaces: tuple[str, ...] = ()
    """Namespaces to leave out."""
    trusted_namespaces: tuple[str, ...] = ()
    """Namespaces whose own types may speak to HolmesGPT, and whose instances come first."""
    unhealthy_retention: timedelta = _HOUR
    """How long what was verified once is kept while it fails."""
    probe_timeout: timedelta = 5 * _SECOND
    """How long one probe may take in all."""
    probe_concurrency: int = 64
    """How many probes run at a time."""
    credentials: Credentials = field(default_factory=Credentials)
    """Environment variables of HolmesGPT's that the operator bound to Services."""
    service_patterns: Mapping[str, Pattern] = field(default_factory=dict)
    """Changes to types of the catalogue, by type."""
    reconciliation: Reconciliation = field(default_factory=Reconciliation)

    def watches(self, namespace: str) -> bool:
        """Whether Services of ``namespace`` are looked at."""
        return namespace not in self.exclude_namespaces and (
            not self.namespaces or namespace in self.namespaces
        )


def changes(before: Config, after: Config) -> list[str]:
    """Which keys changed, one phrase each; values of credentials are not shown."""
    return [
        item.name
        if item.name == "credentials"
        else f"{item.name} from {_shown(getattr(before, item.name))} to {_shown(getattr(after, item.name))}"
        for item in fields_of(Config)
        if getattr(before, item.name) != getattr(after, item.name)
    ]


def dropped(before: Config, after: Config) -> list[str]:
    """Keys of weight that are there no more: who replaces the whole text may not have meant to."""
    lost = {
        "credentials": before.credentials != Credentials() and after.credentials == Credentials(),
        "namespaces": bool(before.namespaces) and not after.namespaces,
    }
    return [key for key, is_lost in lost.items() if is_lost]


def _shown(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else f"{value!s:.100}"


def read_config(text: str, types: frozenset[str], logins: Logins | None = None) -> Config:
    """Reads ``config.yaml``. ``types`` are those that ``service_patterns`` may name.

    ``logins`` are what each type needs where it has a login.

    Raises:
        YamlError: everything that is wrong, each with line, path and what is allowed.
    """
    document = parse(text)
    data = {} if document.data is None else document.data
    if not isinstance(data, Mapping):
        raise YamlError([Problem(1, "", f"expected a mapping with the key {ROOT}, found {data!r:.40}")])
    problems = [document.problem((key,), f"unknown key; allowed is {ROOT}") for key in data if key != ROOT]
    problems += _unknown_types(document, types)
    config = Config()
    try:
        if ROOT in data:
            config = schema.load(_ConfigSchema(), document, Config, at=(ROOT,))
        problems += _unfit_bindings(document, config.credentials, logins or {})
    except YamlError as error:
        problems += error.problems
    if problems:
        raise YamlError(sorted(problems, key=lambda problem: problem.line))
    # Once verified stays verified for at least as long as a proof is good.
    return replace(config, unhealthy_retention=max(config.unhealthy_retention, config.health_check_interval))


def _unfit_bindings(document: Document, credentials: Credentials, logins: Logins) -> list[Problem]:
    return [
        document.problem((ROOT, "credentials", "bindings", index, *path), message)
        for index, binding in enumerate(credentials.bindings)
        for path, message in _unfit(binding, frozenset(credentials.allowed_env), logins)
    ]


def _unfit(binding: Binding, allowed: frozenset[str], logins: Logins) -> Iterator[tuple[Path, str]]:
    if binding.type not in logins:
        yield ("type",), f"no login is known of; known are {', '.join(sorted(logins))}"
        return
    ways = logins[binding.type]
    if set(binding.values) not in [set(needs) for needs in ways]:
        yield ("values",), f"expected exactly {'; or '.join(', '.join(needs) for needs in ways)}"
    for name, value in binding.values.items():
        yield from ((("values", name), message) for message in text_problems(name, value, allowed))


def _unknown_types(document: Document, types: frozenset[str]) -> list[Problem]:
    patterns = document.data
    for key in (ROOT, "service_patterns"):
        patterns = patterns.get(key) if isinstance(patterns, Mapping) else None
    known = ", ".join(sorted(types))
    return [
        document.problem(
            (ROOT, "service_patterns", name),
            f"unknown type; known are {known}; a new one has a health_check, and a name of a-z, 0-9 and -",
        )
        for name, pattern in (patterns.items() if isinstance(patterns, Mapping) else ())
        if name not in types and not _is_new_type(name, pattern)
    ]


def _is_new_type(name: str, pattern: Any) -> bool:
    return bool(NEW_TYPE.fullmatch(name)) and isinstance(pattern, Mapping) and "health_check" in pattern


class _Names(fields.List[Any]):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return tuple(super()._deserialize(value, attr, data, **kwargs))


class _Port(fields.Field[Any]):
    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        known = isinstance(value, int | str) and not isinstance(value, bool) and bool(value)
        if not known or len(str(value)) > MAX_WORD:
            raise ValidationError(f"{value!r:.40} is no port: give its number or its name")
        return value


def _check_word(text: str) -> None:
    # What names no word would be found in every name, or in none.
    if not split(text) or len(text) > MAX_WORD:
        raise ValidationError(f"{text!r:.80} holds no word: give letters a-z and digits, at most {MAX_WORD}")


def _check_path(path: str) -> None:
    if not is_url_path(path):
        raise ValidationError(f"{path!r:.80} is no plain path such as /healthz")


class _HealthCheckSchema(Strict):
    path = fields.String(required=True, validate=_check_path)


class PatternSchema(Strict):
    """One entry of ``service_patterns``."""

    enabled = fields.Boolean(truthy={True}, falsy={False})
    priority = fields.Integer(strict=True, validate=validate.Range(-1000, 1000))
    selectors = _Names(
        fields.Dict(keys=fields.String(), values=fields.String(), validate=validate.Length(min=1))
    )
    names = _Names(fields.String(validate=_check_word))
    ports = _Names(_Port())
    health_check = fields.Nested(_HealthCheckSchema)

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Pattern:
        health = data.pop("health_check", {})
        return Pattern(**data, health_path=health.get("path", ""))


class _ReconciliationSchema(Strict):
    enabled = fields.Boolean(truthy={True}, falsy={False})

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Reconciliation:
        return Reconciliation(**data)


class _BindingSchema(Strict):
    service = fields.String(required=True, validate=validate.Regexp(r"[a-z0-9-]{1,63}/[a-z0-9-]{1,63}\Z"))
    type = fields.String(required=True)
    values = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    insecure_tls = fields.Boolean(truthy={True}, falsy={False})

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Binding:
        return Binding(**data)


class _CredentialsSchema(Strict):
    allowed_env = _Names(fields.String(validate=validate.Regexp(r"[A-Za-z_][A-Za-z0-9_]*\Z")))
    bindings = _Names(fields.Nested(_BindingSchema))

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Credentials:
        return Credentials(**data)


class _ConfigSchema(Strict):
    enabled = fields.Boolean(truthy={True}, falsy={False})
    discovery_interval = Duration(minimum=_SECOND, maximum=_DAY)
    cache_ttl = Duration(minimum=_SECOND, maximum=_DAY)
    health_check_interval = Duration(minimum=_SECOND, maximum=_DAY)
    skip_health_check = fields.Boolean(truthy={True}, falsy={False})
    namespaces = _Names(fields.String(validate=_NAMESPACE))
    exclude_namespaces = _Names(fields.String(validate=_NAMESPACE))
    trusted_namespaces = _Names(fields.String(validate=_NAMESPACE))
    unhealthy_retention = Duration(minimum=_SECOND, maximum=7 * _DAY)
    probe_timeout = Duration(minimum=_SECOND / 10, maximum=_MINUTE)
    probe_concurrency = fields.Integer(strict=True, validate=validate.Range(1, 1000))
    credentials = fields.Nested(_CredentialsSchema)
    service_patterns = fields.Dict(keys=fields.String(), values=fields.Nested(PatternSchema))
    reconciliation = fields.Nested(_ReconciliationSchema)
