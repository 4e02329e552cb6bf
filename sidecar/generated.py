"""The generated ConfigMaps as they are: whose they are, whether they hold what they should, who touched them.

Pure; of a ConfigMap only this is kept, not its text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sidecar.conditions import REPORTER
from toolset.names import GENERATED, GENERATED_KEYS, HOLD_UNTIL

LABELS = {
    "app.kubernetes.io/name": "kubernaut",
    "app.kubernetes.io/component": "dynamic-toolsets",
    "app.kubernetes.io/managed-by": REPORTER,
}

ADOPT = "kubernaut.io/adopt"
"""Annotation by which people hand over a ConfigMap that was not ours."""

LONGEST_HOLD = timedelta(hours=24)
"""A hold that ends later is none: a typing error must not switch repair off for good."""

ConfigMapData = Mapping[str, str]


@dataclass(frozen=True)
class Generated:
    """A ConfigMap of the generated one's name."""

    namespace: str
    uid: str
    resource_version: str
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of the text of each of our keys that is there."""
    foreign: tuple[str, ...] = ()
    """Keys of others."""
    labelled: bool = False
    """Whether it carries all of our labels."""
    ours: bool = False
    """Whether we wrote it, or people handed it over."""
    touched_by: str = ""
    """The field manager other than us that changed it last, with its verb."""
    immutable: bool = False
    going: bool = False
    hold_until: datetime | None = None

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> Generated:
        """Reads a core/v1 ConfigMap."""
        metadata = obj["metadata"]
        data = obj.get("data") or {}
        labels = metadata.get("labels") or {}
        annotations = metadata.get("annotations") or {}
        managers = metadata.get("managedFields") or ()
        return cls(
            namespace=metadata["namespace"],
            uid=metadata.get("uid", ""),
            resource_version=metadata.get("resourceVersion", ""),
            digests={key: _digest(data[key]) for key in GENERATED_KEYS if key in data},
            foreign=tuple(sorted({*data, *(obj.get("binaryData") or ())} - set(GENERATED_KEYS))),
            labelled=all(labels.get(key) == value for key, value in LABELS.items()),
            ours=(
                labels.get("app.kubernetes.io/managed-by") == REPORTER
                or any(entry.get("manager") == REPORTER for entry in managers)
                or annotations.get(ADOPT) == "true"
            ),
            touched_by=_latest(managers),
            immutable=bool(obj.get("immutable")),
            going="deletionTimestamp" in metadata,
            hold_until=_time(annotations.get(HOLD_UNTIL)),
        )

    def holds(self, desired: ConfigMapData) -> bool:
        """Whether it is as it should be."""
        return self.labelled and self.digests == {key: _digest(text) for key, text in desired.items()}

    def held(self, now: datetime) -> bool:
        """Whether it is to be left alone for now."""
        return self.hold_until is not None and now < self.hold_until <= now + LONGEST_HOLD


def manifest(namespace: str, data: ConfigMapData) -> dict[str, Any]:
    """The ConfigMap to apply."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": GENERATED, "namespace": namespace, "labels": dict(LABELS)},
        "data": dict(data),
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _latest(managers: Any) -> str:
    """API reference: ManagedFieldsEntry."""
    others = [entry for entry in managers if entry.get("manager") != REPORTER]
    latest = max(others, key=lambda entry: str(entry.get("time", "")), default=None)
    return f"{latest.get('manager')} ({latest.get('operation')})" if latest else ""


def _time(text: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
