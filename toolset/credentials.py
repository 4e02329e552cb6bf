"""Credentials that the operator bound to one Service: names of HolmesGPT's environment variables, no values.

Only ``config.yaml`` can bind them, and only to one namespace, name and type: HolmesGPT would send
``{{ env.NAME }}`` to whoever an annotation named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolset.yaml_source import parse


@dataclass(frozen=True)
class Binding:
    """``values`` are what the type needs, by name: ``{{ env.NAME }}``, or plain text that is no secret."""

    service: str
    type: str
    values: Mapping[str, str]
    insecure_tls: bool = False
    """Whether they may go over TLS whose certificate nobody vouches for."""


@dataclass(frozen=True)
class Credentials:
    """All that the operator bound."""

    allowed_env: tuple[str, ...] = ()
    """The variables that may be named at all, here and in the overrides."""
    bindings: tuple[Binding, ...] = field(default_factory=tuple)

    def of(self, service: str, kind: str) -> Binding | None:
        """The binding of a Service of a type."""
        return next((b for b in self.bindings if (b.service, b.type) == (service, kind)), None)


def allowed_env_of(text: str) -> frozenset[str]:
    """``credentials.allowed_env`` of a ``config.yaml``, for who needs nothing else of it.

    Raises:
        YamlError: the text is no YAML. What else may be wrong with it is not looked at.
    """
    value = parse(text).data
    for key in ("service_discovery", "credentials", "allowed_env"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return (
        frozenset(name for name in value if isinstance(name, str)) if isinstance(value, list) else frozenset()
    )
