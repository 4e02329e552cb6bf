"""How the API server is told what became of a person's object: a condition in its status, and an Event.

Kubernetes API conventions: Typical status properties; API reference: Event v1 core.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

REPORTER = "kubernaut-dynamic-toolsets"

MAX_MESSAGE = 1000
"""Characters of a message; the API server takes 1024 of an Event's."""


def condition_of(obj: Mapping[str, Any], problem: str) -> dict[str, Any] | None:
    """The condition Accepted; None when the object's status holds it already."""
    metadata = obj["metadata"]
    condition = {
        "type": "Accepted",
        "status": "False" if problem else "True",
        "reason": "Invalid" if problem else "Used",
        "message": problem[:MAX_MESSAGE] or "used for the Services of this namespace",
        "observedGeneration": metadata.get("generation", 0),
    }
    known = (obj.get("status") or {}).get("conditions") or ()
    if any(condition.items() <= one.items() for one in known):
        return None
    return {**condition, "lastTransitionTime": timestamp()}


def event_about(obj: Mapping[str, Any], kind: str, reason: str, message: str) -> dict[str, Any]:
    """An Event about an object; ``kind`` is ``Normal`` or ``Warning``."""
    metadata = obj["metadata"]
    now = timestamp()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name'][:200]}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata.get("uid", ""),
        },
        "type": kind,
        "reason": reason,
        "message": message[:MAX_MESSAGE],
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def timestamp() -> str:
    """Now, as Kubernetes writes it (API reference: Time)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
