"""What is asked of the guard and what it answers, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolset.names import FIELD_MANAGER

JsonObject = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """The part of an admission.k8s.io/v1 AdmissionRequest that matters."""

    operation: str
    user: str
    namespace: str = ""
    name: str = ""
    groups: frozenset[str] = frozenset()
    resource: str = "configmaps"
    object: JsonObject | None = None
    old: JsonObject | None = None

    @property
    def names(self) -> frozenset[str]:
        """Every name that the request gives: of ``deletecollection`` only the objects carry one."""
        found = [self.name, *(mapping(obj, "metadata").get("name") for obj in (self.object, self.old))]
        return frozenset(name for name in found if isinstance(name, str) and name)

    @property
    def what(self) -> str:
        """How messages name the object."""
        return "/".join([self.namespace, *sorted(self.names)]) if self.namespace else "/".join(self.names)


@dataclass(frozen=True)
class Decision:
    """``rule`` says why, in one word for metrics and audit logs; ``message`` in a sentence for people."""

    allowed: bool
    rule: str
    message: str = ""
    warnings: tuple[str, ...] = ()
    audit: Mapping[str, str] = field(default_factory=dict)


def mapping(obj: JsonObject | None, key: str) -> JsonObject:
    """A field that holds a mapping; empty where it does not."""
    value = obj.get(key) if isinstance(obj, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def managed(obj: JsonObject) -> bool:
    """Whether the service's field manager owns fields of the object (API reference: ManagedFieldsEntry)."""
    entries = mapping(obj, "metadata").get("managedFields")
    return isinstance(entries, list) and any(
        isinstance(entry, Mapping) and entry.get("manager") == FIELD_MANAGER for entry in entries
    )
