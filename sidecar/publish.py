"""Publishes what was rendered: the file that HolmesGPT reads, and the ConfigMaps.

Both are written only when their content changes, and never half: a reader sees the old or the new.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sidecar.cluster import ClusterError, ConflictError, JsonObject, NotFoundError

log = logging.getLogger(__name__)

CONFIG_MAP = "kubernaut-toolset-config"
"""The generated ConfigMap, in each namespace where something was discovered."""

LABELS = {
    "app.kubernetes.io/name": "kubernaut",
    "app.kubernetes.io/component": "dynamic-toolsets",
    "app.kubernetes.io/managed-by": "kubernaut-dynamic-toolsets",
}

FILE_MODE = 0o644
"""HolmesGPT reads the file under another UID, and no fsGroup can be counted on."""

ConfigMapData = Mapping[str, str]


class PublishError(Exception):
    """Something was not written; the message says what, why and the cure. What was there stays."""


def write_file(path: Path, text: str) -> bool:
    """Replaces the file in one step, durably; returns whether there was anything to change.

    Raises:
        PublishError: it could not be written; the file that was there is untouched.
    """
    data = text.encode()
    try:
        if _holds(path, data):
            if stat.S_IMODE(path.stat().st_mode) != FILE_MODE:
                path.chmod(FILE_MODE)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same directory, since only within one file system is a rename a single step.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), FILE_MODE)
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise PublishError(
            f"{path}: cannot be written: {error.strerror or error}; the file that was there stays. "
            "Mount a writable volume there, or name another place by --toolset-file"
        ) from error
    return True


def remove_leftovers(path: Path) -> None:
    """Deletes temporary files that a killed process left beside ``path``."""
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):
            leftover.unlink()


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    """Makes the rename itself durable. Some file systems refuse, and lose nothing by it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ConfigMapWriter(Protocol):
    """The part of :class:`~sidecar.cluster.Cluster` that publishing needs."""

    def config_maps(self, name: str, namespaces: Sequence[str] = ()) -> list[JsonObject]:
        """Every ConfigMap of one name."""

    def apply_config_map(self, obj: Mapping[str, Any]) -> JsonObject:
        """Makes the given fields ours, keeps those of others."""

    def delete_config_map(self, obj: Mapping[str, Any]) -> None:
        """Deletes exactly the object that was read."""


class ConfigMaps:
    """Keeps the generated ConfigMaps as they should be; counts and tells each one written or refused."""

    def __init__(self, cluster: ConfigMapWriter, count: Any) -> None:
        self._cluster = cluster
        self._count = count
        self._written: dict[str, ConfigMapData] = {}
        self.confirmed: set[str] = set()
        """Namespaces whose ConfigMap this process has written, or found right."""

    def publish(
        self, desired: Mapping[str, ConfigMapData], namespaces: Sequence[str] = (), *, repair: bool = True
    ) -> list[str]:
        """Writes one ConfigMap a namespace, and takes back those of namespaces that are not desired.

        One that fails costs the others nothing. Without ``repair``, what this process wrote and
        somebody else changed is left as it is until there is something new to write.

        Returns:
            What failed, one sentence each.
        """
        try:
            looked_into = sorted({*namespaces, *desired}) if namespaces else ()
            existing = {
                obj["metadata"]["namespace"]: obj
                for obj in self._cluster.config_maps(CONFIG_MAP, looked_into)
            }
        except ClusterError as error:
            return [self._failed(f"the existing ones cannot be listed: {error}")]
        failures = []
        for namespace in sorted({*existing, *desired}):
            try:
                self._put(namespace, existing.get(namespace), desired.get(namespace), repair)
            except ConflictError as error:
                failures.append(
                    self._failed(f"{namespace}/{CONFIG_MAP} changed meanwhile, next pass again: {error}")
                )
            except ClusterError as error:
                failures.append(self._failed(f"{namespace}/{CONFIG_MAP} was not written: {error}"))
        return failures

    def _failed(self, message: str) -> str:
        self._count.labels("failed").inc()
        log.error("configmap %s", message)
        return message

    def _put(
        self, namespace: str, existing: JsonObject | None, desired: ConfigMapData | None, repair: bool
    ) -> None:
        if desired is None:
            if existing is not None and _is_ours(existing):
                self._retire(namespace, existing)
            return
        if existing is not None and _is_current(existing, desired):
            log.info("configmap %s/%s up to date", namespace, CONFIG_MAP)
            self.confirmed.add(namespace)
            return
        if not repair and self._written.get(namespace) == desired:
            log.warning(
                "configmap %s/%s was changed and is left so: reconciliation.enabled is false",
                namespace,
                CONFIG_MAP,
            )
            return
        self._cluster.apply_config_map(_config_map(namespace, desired))
        self._written[namespace] = desired
        self.confirmed.add(namespace)
        self._count.labels("success").inc()
        log.info("configmap %s/%s %s", namespace, CONFIG_MAP, "updated" if existing else "created")

    def _retire(self, namespace: str, existing: JsonObject) -> None:
        """Nothing is discovered there any more: the ConfigMap goes, unless it holds keys of others."""
        foreign = set(existing.get("data") or ()) | set(existing.get("binaryData") or ())
        foreign -= set(KEYS)
        if foreign:
            if not set(existing.get("data") or ()) & set(KEYS):
                return
            self._cluster.apply_config_map(_config_map(namespace, {}))
            log.info(
                "configmap %s/%s emptied of our keys; others hold %s", namespace, CONFIG_MAP, sorted(foreign)
            )
        else:
            with contextlib.suppress(NotFoundError):
                self._cluster.delete_config_map(existing)
            log.info("configmap %s/%s removed: nothing is discovered there any more", namespace, CONFIG_MAP)
        self._count.labels("success").inc()


KEYS = ("custom_toolset.yaml", "toolset.json", "services.yaml")
"""The keys that are ours; any other one in the ConfigMap is somebody else's."""


def _config_map(namespace: str, data: ConfigMapData) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": namespace, "labels": dict(LABELS)},
        "data": dict(data),
    }


def _is_ours(existing: JsonObject) -> bool:
    labels = existing["metadata"].get("labels") or {}
    return bool(labels.get("app.kubernetes.io/managed-by") == LABELS["app.kubernetes.io/managed-by"])


def _is_current(existing: JsonObject, desired: ConfigMapData) -> bool:
    labels = existing["metadata"].get("labels") or {}
    data = existing.get("data") or {}
    return all(data.get(key) == desired.get(key) for key in KEYS) and all(
        labels.get(key) == value for key, value in LABELS.items()
    )
