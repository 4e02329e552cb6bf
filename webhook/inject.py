"""Adds the sidecar to HolmesGPT's pods, for those who cannot touch its chart's values. No I/O.

What is added is what the chart's named templates give HolmesGPT's chart (``templates/_sidecar.tpl``): an
init container that goes on (a native sidecar), volumes, and for HolmesGPT's container a mount and
variables. Each item is known by its name, so that a pod which has it all is left as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from webhook.request import JsonObject, mapping

INJECTED = "kubernaut.io/injected"
"""Annotation of the pods that the sidecar was added to: the digest of what was."""

LOCATION = "CUSTOM_TOOLSET_LOCATION"
"""HolmesGPT's variable: where it reads its custom toolsets."""

Items = tuple[JsonObject, ...]


@dataclass(frozen=True)
class Injection:
    """Whose pods get what."""

    namespaces: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """The pods' labels."""
    container: str = "holmes"
    """HolmesGPT's own container."""
    init_containers: Items = ()
    volumes: Items = ()
    volume_mounts: Items = ()
    """Of HolmesGPT's container."""
    env: Items = ()
    """Of HolmesGPT's container."""

    @property
    def digest(self) -> str:
        """Another one whenever what is injected is another."""
        added = [self.init_containers, self.volumes, self.volume_mounts, self.env]
        return hashlib.sha256(json.dumps(added, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Injected:
    """What is done to a pod: a JSON patch (RFC 6902), empty if it is complete; or why nothing is done."""

    patch: Sequence[JsonObject] = ()
    warning: str = ""


def inject(pod: JsonObject, injection: Injection) -> Injected:
    """What is missing in a pod.

    A pod whose HolmesGPT reads another file is left alone: a sidecar would write one that nobody reads.
    """
    spec = mapping(pod, "spec")
    containers = _items(spec, "containers")
    at = next((i for i, one in enumerate(containers) if one.get("name") == injection.container), None)
    if at is None:
        return Injected(warning=f"no container is named {injection.container}: no sidecar was added")
    holmes = containers[at]
    if reason := _otherwise(holmes, injection):
        return Injected(warning=reason)
    wanted = {
        "/spec/initContainers": (_items(spec, "initContainers"), _rebased(holmes, injection), "name", True),
        "/spec/volumes": (_items(spec, "volumes"), injection.volumes, "name", False),
        f"/spec/containers/{at}/volumeMounts": (
            _items(holmes, "volumeMounts"),
            injection.volume_mounts,
            "mountPath",
            False,
        ),
        f"/spec/containers/{at}/env": (_items(holmes, "env"), injection.env, "name", False),
    }
    patch = []
    for path, (there, items, key, first) in wanted.items():
        missing = [item for item in items if item.get(key) not in {one.get(key) for one in there}]
        if missing:
            value = [*missing, *there] if first else [*there, *missing]
            # RFC 6902, 4.1: adding a member that exists replaces it.
            patch.append({"op": "add", "path": path, "value": value})
    return Injected((*patch, _mark(pod, injection)) if patch else ())


def injected(pod: JsonObject) -> str:
    """The digest of what was added to a pod; empty if nothing was."""
    return str(mapping(mapping(pod, "metadata"), "annotations").get(INJECTED) or "")


def outdated(pod: JsonObject, injection: Injection) -> bool:
    """Whether a pod that is made anew would be another: it has no sidecar, or an older one."""
    if had := injected(pod):
        return had != injection.digest
    return bool(inject(pod, injection).patch)


def _otherwise(holmes: JsonObject, injection: Injection) -> str:
    """Why HolmesGPT would not read what the sidecar writes; empty if it would."""
    ours = next((one.get("value") for one in injection.env if one.get("name") == LOCATION), None)
    for variable in _items(holmes, "env"):
        if variable.get("name") == LOCATION and variable.get("value") != ours:
            where = variable.get("value") or "what valueFrom says"
            return f"{LOCATION} is {where} already: no sidecar was added; take it out, or add ours by values"
    return ""


def _rebased(holmes: JsonObject, injection: Injection) -> Items:
    """The init containers, with the base under the name that its volume has in this pod.

    A mount of theirs that is of none of our volumes is the base: HolmesGPT's own file, which HolmesGPT's
    container mounts at the same path.
    """
    ours = {volume.get("name") for volume in injection.volumes}
    there = {mount.get("mountPath"): mount for mount in _items(holmes, "volumeMounts")}
    result = []
    for container in injection.init_containers:
        mounts = []
        for mount in _items(container, "volumeMounts"):
            if mount.get("name") in ours:
                mounts.append(mount)
            elif base := there.get(mount.get("mountPath")):
                mounts.append({**mount, "name": base.get("name")})
        result.append({**container, "volumeMounts": mounts})
    return tuple(result)


def _mark(pod: JsonObject, injection: Injection) -> JsonObject:
    annotations = {**mapping(mapping(pod, "metadata"), "annotations"), INJECTED: injection.digest}
    return {"op": "add", "path": "/metadata/annotations", "value": annotations}


def _items(obj: JsonObject, key: str) -> list[JsonObject]:
    value = obj.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
