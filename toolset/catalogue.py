"""The catalogue: one YAML file a backend, read and checked.

A file says how to recognise the backend, where its API is, how to prove it, and what HolmesGPT
toolset it becomes; ``docs/backends.md`` explains the format. No backend's name appears in code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from toolset import schema
from toolset.backend import (
    Backend,
    EndpointRule,
    Exchange,
    Expectation,
    Hint,
    KnownSecret,
    Login,
    Recognition,
    Scheme,
    ToolsetRule,
)
from toolset.recognise import Index
from toolset.schema import Strict
from toolset.service import Service
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

    def of(self, service: Service) -> Catalogue:
        """The catalogue by which a Service is recognised: this one, for all of them."""
        del service
        return self

    @cached_property
    def index(self) -> Index:
        """The catalogue as recognition looks things up in it."""
        return Index(tuple(self._backends.values()))


@cache
def bundled() -> Catalogue:
    """The catalogue that ships with the package.

    Raises:
        CatalogueError: a file is broken, which a test of every release excludes.
    """
    folder = files("toolset").joinpath("backends")
    texts = {item.name: item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".yaml")}
    return Catalogue(read_backend(text, name) for name, text in texts.items())


def logins(known: Mapping[str, Backend]) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """What each type needs where it has a login: one set of names for each way."""
    return {
        name: tuple(way.needs for way in entry.credentials.ways)
        for name, entry in known.items()
        if entry.credentials
    }


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


class _Bytes(fields.String):
    """Bytes to send: text as it is, or ``hex:`` and pairs of hexadecimal digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode("ascii")
        except ValueError as error:
            raise ValidationError(f"{text!r} is neither ASCII nor hex: and digits") from error


class _BytesPattern(fields.String):
    """A pattern on bytes, whose escapes are those of regular expressions."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = _compiled(super()._deserialize(value, attr, data, **kwargs)).pattern
        return re.compile(text.encode("latin-1"), re.DOTALL)


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


class _PortKey(_Port):
    """As a key, where the YAML reader leaves a number as text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        port = super()._deserialize(value, attr, data, **kwargs)
        return int(port) if isinstance(port, str) and port.isdigit() else port


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
    not_beside = _words()
    not_labels = _labels()
    not_lines = _Tuple(_Pattern())
    prefer = _words()

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Recognition:
        return Recognition(**data)


def _check_prefix(path: str) -> None:
    if path and (not is_url_path(path) or path.endswith("/")):
        raise ValidationError(f"{path!r} is no path prefix: expected '' or /like/this")


def _paths() -> fields.Field[Any]:
    return _Tuple(fields.String(validate=_check_prefix), validate=validate.Length(min=1))


def _schemes() -> fields.Field[Any]:
    return _Tuple(fields.String(validate=validate.OneOf(get_args(Scheme))), validate=validate.Length(min=1))


class _HintSchema(Strict):
    line = _Pattern(required=True)
    requires = _Pattern()
    scheme = fields.String(validate=validate.OneOf(get_args(Scheme)))

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Hint:
        return Hint(**data)


class _EndpointSchema(Strict):
    ports = _Tuple(_Port())
    not_ports = _Tuple(_Port())
    paths = _paths()
    port_paths = fields.Dict(keys=_PortKey(), values=_paths())
    name_paths = fields.Dict(keys=fields.String(), values=_paths())
    secure = _Tuple(fields.Dict(keys=fields.String(), values=fields.String()))
    schemes = _schemes()
    port_schemes = fields.Dict(keys=_PortKey(), values=_schemes())
    hints = _Tuple(fields.Nested(_HintSchema))
    leak = _Pattern()
    everywhere = fields.Boolean()

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> EndpointRule:
        return EndpointRule(**data)


_QUESTION = ("get", "post", "body", "session", "accept", "at_root", "send", "once", "closed_is_login")


class _ExchangeSchema(Strict):
    get = fields.String(validate=validate.Regexp(r"(/[^\s#]*|\$health|)$"))
    post = fields.String(validate=validate.Regexp(r"(/[^\s#?]*|)$"))
    body = fields.Dict(keys=fields.String())
    session = fields.String(validate=validate.Regexp(r"[A-Za-z][A-Za-z0-9-]*$"))
    accept = fields.String(validate=validate.Length(1, 80))
    at_root = fields.Boolean()
    send = _Bytes()
    once = fields.Boolean()
    closed_is_login = fields.Boolean()
    status = _Tuple(fields.Integer(strict=True, validate=validate.Range(100, 599)))
    headers = fields.Dict(keys=fields.String(), values=_Pattern())
    text = _Pattern()
    json = _JsonSchema()
    receive = _BytesPattern()

    @validates_schema
    def _one_of_both(self, data: dict[str, Any], **_: Any) -> None:
        asked = [key for key in ("get", "post", "send") if key in data]
        if len(asked) != 1 or ("send" in data) != ("receive" in data) or ("post" in data) != ("body" in data):
            raise ValidationError("expected either get, or send and receive, or post and body")

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Exchange:
        if "body" in data:
            data["body"] = json.dumps(data["body"])
        question = {key: data.pop(key) for key in _QUESTION if key in data}
        return Exchange(expect=Expectation(**data), **question)


class _ToolsetSchema(Strict):
    name = fields.String(required=True, validate=validate.Regexp(r"[A-Za-z0-9_/$-]+$"))
    type = fields.String(validate=validate.OneOf(["http", "mcp", "database", "mongodb"]))
    config = fields.Dict(keys=fields.String(), required=True)
    many = fields.String(required=True, validate=_MANY)
    instructions = fields.String()
    check_seconds = fields.Integer(strict=True, validate=validate.Range(1, 120))
    key = fields.String(validate=validate.OneOf(["name", "id"]))

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> ToolsetRule:
        return ToolsetRule(**data)


class _KnownSecretSchema(Strict):
    maker = fields.String(required=True, validate=validate.Length(1, 60))
    where = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, validate=validate.Length(min=1)
    )
    label = fields.String(validate=validate.Length(min=1))
    service = _Pattern()
    secret = fields.String(required=True, validate=validate.Regexp(r"[a-z0-9.$-]*\$instance[a-z0-9.$-]*$"))
    keys = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    values = fields.Dict(keys=fields.String(), values=fields.String())
    admin = fields.Boolean()
    source = fields.String(required=True, validate=validate.Length(min=1))

    @validates_schema
    def _names_the_instance(self, data: dict[str, Any], **_: Any) -> None:
        pattern = data.get("service")
        if pattern and ("label" in data or "instance" not in pattern.groupindex):
            raise ValidationError("expected either label, or service with a group (?P<instance>…)")

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> KnownSecret:
        return KnownSecret(**data)


class _LoginSchema(Strict):
    needs = _Tuple(fields.String(validate=validate.Regexp(r"[a-z_]+$")), required=True)
    config = fields.Dict(keys=fields.String())
    auth = fields.Dict(keys=fields.String())
    toolsets = _Tuple(fields.Nested(_ToolsetSchema))
    secrets = _Tuple(fields.Nested(_KnownSecretSchema))
    alternatives = _Tuple(fields.Nested(lambda: _LoginSchema(exclude=["alternatives"])))

    @validates_schema
    def _secrets_hold_what_is_needed(self, data: dict[str, Any], **_: Any) -> None:
        for known in data.get("secrets", ()):
            if {*known.keys, *known.values} != set(data.get("needs", ())):
                raise ValidationError(f"{known.maker}: keys and values together are not what it needs")

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Login:
        return Login(**data)


class _BackendSchema(Strict):
    name = fields.String(required=True, validate=validate.Regexp(r"[a-z][a-z0-9]*$"))
    title = fields.String(required=True, validate=validate.Length(1, 40))
    description = fields.String(required=True, validate=validate.Length(1, 120))
    recognise = fields.Nested(_RecognitionSchema, load_default=Recognition())
    endpoint = fields.Nested(_EndpointSchema, load_default=EndpointRule())
    proofs = _Tuple(_Tuple(fields.Nested(_ExchangeSchema), validate=validate.Length(min=1)), required=True)
    refusals = _Tuple(fields.Nested(_ExchangeSchema))
    health = fields.Nested(_ExchangeSchema)
    toolsets = _Tuple(fields.Nested(_ToolsetSchema), required=True)
    trusted_only = fields.Boolean()
    login = fields.Boolean()
    credentials = fields.Nested(_LoginSchema)
    tenant = fields.String(validate=validate.Regexp(r"[A-Za-z][A-Za-z0-9-]*$"))
