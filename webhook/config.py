"""Two YAML files: the guard's configuration, whose keys are all optional, and what is injected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from toolset import schema
from toolset.duration import Duration
from toolset.schema import Strict
from toolset.yaml_source import Document, Problem, YamlError, parse
from webhook.certificates import Lifetimes
from webhook.inject import Injection
from webhook.policy import CONTROLLERS, Policy

ROOT = "guard"

INJECTION = "injection"

MODES = ("self", "cert-manager", "existing")

_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """Where the certificate comes from, and when it is renewed."""

    mode: str = "self"
    """``self``: made and renewed here; ``cert-manager``, ``existing``: others keep the Secret."""
    secret: str = "kubernaut-toolset-webhook"  # noqa: S105 - a name
    """The Secret in the guard's own namespace."""
    lifetime: timedelta = 30 * _DAY
    authority_lifetime: timedelta = 365 * _DAY
    check_interval: timedelta = 10 * _SECOND
    """How often Secret, registration and dates are looked at."""
    settle: timedelta = 5 * _SECOND
    """How long a new authority is registered before what it signed is served: API servers learn by watch."""

    @property
    def lifetimes(self) -> Lifetimes:
        """Of what is made here."""
        return Lifetimes(self.lifetime, self.authority_lifetime)


@dataclass(frozen=True)
class Config:
    """``guard``, with the defaults that hold where it says nothing."""

    enforce: bool = True
    """False: audit mode, which warns and counts."""
    protect_delete: bool = False
    """Whether deleting what is generated is the service's alone, too."""
    service_accounts: tuple[str, ...] = ("kubernaut-system/kubernaut-service-discovery",)
    """Who writes what is generated: ``namespace/name``."""
    trusted_users: tuple[str, ...] = ()
    trusted_groups: tuple[str, ...] = ()
    """Break-glass: who else may."""
    controllers: tuple[str, ...] = CONTROLLERS
    """Kubernetes' own, which may change finalizers and ownerReferences."""
    name: str = "kubernaut-toolset-webhook"
    """Of the Service, of the configuration, and of the ClusterRole that owns it."""
    service_port: int = 443
    failure_policy: str = "Fail"
    """For strangers while the guard does not answer."""
    timeout: timedelta = 5 * _SECOND
    """How long the API server waits."""
    patience: timedelta = 30 * _SECOND
    """How long the first registration waits until the Service leads here; then it goes ahead."""
    certificate: Certificate = field(default_factory=Certificate)

    def policy(self, namespace: str) -> Policy:
        """What is allowed. ``namespace`` is the service's own."""
        accounts = (account.partition("/") for account in self.service_accounts)
        return Policy(
            writers=frozenset(f"system:serviceaccount:{space}:{name}" for space, _, name in accounts),
            namespace=namespace,
            trusted_users=frozenset(self.trusted_users),
            trusted_groups=frozenset(self.trusted_groups),
            controllers=frozenset(self.controllers),
            protect_delete=self.protect_delete,
            enforce=self.enforce,
        )


def read_config(text: str) -> Config:
    """Reads the guard's configuration.

    Raises:
        YamlError: everything that is wrong, each with line, path and what is allowed.
    """
    document = _document(text, ROOT)
    config = schema.load(_Guard(), document, Config, at=(ROOT,)) if document.data else Config()
    if config.certificate.authority_lifetime < 2 * config.certificate.lifetime:
        path = (ROOT, "certificate", "authority_lifetime")
        raise YamlError([document.problem(path, "must be at least twice certificate.lifetime")])
    return config


def read_injection(text: str) -> Injection:
    """Reads what is injected, and into whose pods; the chart renders it.

    Raises:
        YamlError: everything that is wrong, each with line, path and what is allowed.
    """
    document = _document(text, INJECTION)
    if not document.data:
        raise YamlError([Problem(1, "", f"expected a mapping with the key {INJECTION}")])
    return schema.load(_Injection(), document, Injection, at=(INJECTION,))


def _document(text: str, root: str) -> Document:
    """A document that is empty, or has this one key."""
    document = parse(text)
    data = {} if document.data is None else document.data
    if not isinstance(data, Mapping):
        raise YamlError([Problem(1, "", f"expected a mapping with the key {root}, found {data!r:.40}")])
    unknown = [document.problem((key,), f"unknown key; allowed is {root}") for key in data if key != root]
    if unknown:
        raise YamlError(unknown)
    return document


class _Names(fields.List[Any]):
    """A list, as a tuple."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return tuple(super()._deserialize(value, attr, data, **kwargs))


_NAME = validate.Regexp(
    r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z", error="{input!r} is no name of Kubernetes'"
)
_ACCOUNT = validate.Regexp(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}\Z", error="{input!r}: expected NAMESPACE/NAME")
_USER = validate.Length(1, 512)


class _Certificate(Strict):
    mode = fields.String(validate=validate.OneOf(MODES))
    secret = fields.String(validate=_NAME)
    lifetime = Duration(minimum=4 * _SECOND, maximum=365 * _DAY)
    authority_lifetime = Duration(minimum=8 * _SECOND, maximum=3650 * _DAY)
    check_interval = Duration(minimum=_SECOND / 10, maximum=_HOUR)
    settle = Duration(minimum=0 * _SECOND, maximum=_HOUR)

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Certificate:
        return Certificate(**data)


class _Guard(Strict):
    enforce = fields.Boolean(truthy={True}, falsy={False})
    protect_delete = fields.Boolean(truthy={True}, falsy={False})
    service_accounts = _Names(fields.String(validate=_ACCOUNT), validate=validate.Length(min=1))
    trusted_users = _Names(fields.String(validate=_USER))
    trusted_groups = _Names(fields.String(validate=_USER))
    controllers = _Names(fields.String(validate=_USER))
    name = fields.String(validate=_NAME)
    service_port = fields.Integer(strict=True, validate=validate.Range(1, 65535))
    failure_policy = fields.String(validate=validate.OneOf(["Fail", "Ignore"]))
    timeout = Duration(minimum=_SECOND, maximum=30 * _SECOND)
    patience = Duration(minimum=0 * _SECOND, maximum=_HOUR)
    certificate = fields.Nested(_Certificate)


def _named(item: Mapping[str, Any]) -> None:
    if not isinstance(item.get("name"), str):
        raise ValidationError("expected a mapping with a name")


# Of a pod's list, as the API reference has it; the API server judges what is in it.
_ITEM = fields.Dict(keys=fields.String(), validate=_named)


class _Injection(Strict):
    namespaces = _Names(fields.String(validate=_NAME), required=True, validate=validate.Length(min=1))
    labels = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, validate=validate.Length(min=1)
    )
    container = fields.String(validate=_NAME)
    init_containers = _Names(_ITEM, required=True, validate=validate.Length(min=1))
    volumes = _Names(_ITEM)
    volume_mounts = _Names(_ITEM)
    env = _Names(_ITEM)
