"""Writes the generated ConfigMaps, one conflict-safe write each, and takes back what is not needed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from sidecar.connection import ClusterError, ConflictError, JsonObject, NotFoundError
from sidecar.generated import ADOPT, ConfigMapData, Generated, manifest
from sidecar.store import Store
from toolset.names import GENERATED

log = logging.getLogger(__name__)


class ConfigMapWriter(Protocol):
    """The part of :class:`~sidecar.cluster.Cluster` that publishing needs."""

    def apply_config_map(self, obj: Mapping[str, Any]) -> JsonObject:
        """Makes the given fields ours, keeps those of others."""

    def delete_config_map(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        """Deletes exactly the object that was read."""


class NotWrittenError(Exception):
    """A ConfigMap is not as it should be; the message says why, and the cure."""


Drift = Callable[[Generated | None, str, str, str], object]
"""Told of what somebody else changed: the ConfigMap, its namespace, and what was done about it, in a word
(``repaired`` or ``ignored``) and for people."""


class ConfigMaps:
    """Keeps the generated ConfigMaps as they should be; counts and tells each one written or refused."""

    def __init__(self, cluster: ConfigMapWriter, count: Any, drift: Drift = lambda *_: None) -> None:
        """``count`` is the counter with the label ``status``."""
        self._cluster = cluster
        self._count = count
        self._drift = drift
        self._written: dict[str, ConfigMapData] = {}
        self._uids: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self.store: Store[Generated] = Store(Generated.from_object)
        """The ConfigMaps of the generated one's name that there are."""
        self.confirmed: set[str] = set()
        """Namespaces whose ConfigMap this process has written, or found right."""

    def namespaces(self) -> set[str]:
        """Where there is a ConfigMap of the generated one's name."""
        return {existing.namespace for existing in self.store.values()}

    def publish(
        self,
        desired: Mapping[str, ConfigMapData],
        objects: Iterable[JsonObject],
        *,
        repair: bool = True,
    ) -> list[str]:
        """Writes them all, once; ``objects`` are those that there are. One that fails costs no other.

        Returns:
            What failed, one sentence each.
        """
        try:
            self.store.replace(objects)
        except ClusterError as error:
            return [str(self._failed("", f"the existing ones cannot be listed: {error}"))]
        failures = []
        for namespace in sorted({*self.namespaces(), *desired}):
            try:
                self.put(namespace, desired.get(namespace), repair=repair)
            except NotWrittenError as error:
                failures.append(str(error))
        return failures

    def put(self, namespace: str, desired: ConfigMapData | None, *, repair: bool = True) -> None:
        """Makes the ConfigMap of a namespace hold ``desired``; with None it goes.

        Without ``repair``, what this process wrote and somebody else changed is left as it is until there
        is something new to write.

        Raises:
            NotWrittenError: it is not so, and was counted and told.
        """
        existing = self.store.get(namespace, GENERATED)
        try:
            if desired is None:
                if existing is not None and self._ours(existing) and not existing.going:
                    self._retire(existing)
            elif existing is not None and existing.holds(desired):
                self._confirm(namespace, existing, desired)
            else:
                self._write(namespace, existing, desired, repair)
        except ConflictError as error:
            raise self._failed(
                namespace, f"{namespace}/{GENERATED} changed meanwhile, tried again: {error}"
            ) from error
        except ClusterError as error:
            raise self._failed(namespace, f"{namespace}/{GENERATED} was not written: {error}") from error

    def _ours(self, existing: Generated) -> bool:
        """Also where somebody took every mark of ours from one that this process wrote."""
        return existing.ours or self._uids.get(existing.namespace) == existing.uid

    def _confirm(self, namespace: str, existing: Generated, desired: ConfigMapData) -> None:
        self._written[namespace] = desired
        self._uids[namespace] = existing.uid
        self.confirmed.add(namespace)
        self._tell(namespace, logging.INFO, f"configmap {namespace}/{GENERATED} up to date")

    def _write(
        self, namespace: str, existing: Generated | None, desired: ConfigMapData, repair: bool
    ) -> None:
        name = f"configmap {namespace}/{GENERATED}"
        if existing is not None and not self._ours(existing):
            raise self._failed(
                namespace,
                f"{namespace}/{GENERATED} was not made by this service and is left alone: delete it, or "
                f"hand it over: kubectl annotate configmap {GENERATED} -n {namespace} {ADOPT}=true",
            )
        if existing is not None and existing.going:
            self._tell(namespace, logging.INFO, f"{name} is being deleted; written again once it is gone")
            return
        if existing is not None and existing.held(datetime.now(UTC)):
            self._tell(namespace, logging.WARNING, f"{name} is left alone until {existing.hold_until}")
            return
        drifted = self._written.get(namespace) == desired
        if drifted and not repair:
            done = "is left so: reconciliation.enabled is false"
            if self._tell(namespace, logging.WARNING, f"{name} was changed and {done}"):
                self._drift(existing, namespace, "ignored", done)
            return
        if existing is not None and existing.immutable:
            self._delete(existing)
        written = self._cluster.apply_config_map(manifest(namespace, desired))
        # What it is now is known before the watch tells: else the next look would take it for drift.
        self.store.put(written)
        self._written[namespace] = desired
        self._uids[namespace] = written["metadata"].get("uid", "")
        self.confirmed.add(namespace)
        self._count.labels("success").inc()
        self._told.pop(namespace, None)
        log.info("%s %s%s", name, "updated" if existing else "created", ": it had drifted" if drifted else "")
        if drifted:
            self._drift(existing, namespace, "repaired", "was put right")

    def _retire(self, existing: Generated) -> None:
        """Nothing is discovered there any more: the ConfigMap goes, unless it holds keys of others."""
        namespace = existing.namespace
        name = f"configmap {namespace}/{GENERATED}"
        if existing.held(datetime.now(UTC)):
            self._tell(namespace, logging.WARNING, f"{name} is left alone until {existing.hold_until}")
            return
        if existing.foreign:
            if not existing.digests:
                return
            self.store.put(self._cluster.apply_config_map(manifest(namespace, {})))
            log.info("%s emptied of our keys; others hold %s", name, list(existing.foreign))
        else:
            self._delete(existing)
            log.info("%s removed: nothing is discovered there any more", name)
        self._written.pop(namespace, None)
        self._told.pop(namespace, None)
        self._count.labels("success").inc()

    def _delete(self, existing: Generated) -> None:
        with contextlib.suppress(NotFoundError):
            self._cluster.delete_config_map(
                existing.namespace, GENERATED, existing.uid, existing.resource_version
            )
        self.store.drop({"metadata": {"namespace": existing.namespace, "name": GENERATED}})

    def follow(self, namespace: str, desired: ConfigMapData | None, leader: str) -> None:
        """Says what is seen of a ConfigMap that another replica writes."""
        existing = self.store.get(namespace, GENERATED)
        if existing is None or desired is None:
            return
        self.confirmed.add(namespace)
        seen = "up to date" if existing.holds(desired) else "not yet as it should be"
        who = f"written by leader {leader}" if leader else "and nobody leads"
        self._tell(namespace, logging.INFO, f"configmap {namespace}/{GENERATED} {seen}, {who}")

    def unseen(self, problem: str) -> str:
        """Says that it is not known which ConfigMaps there are, so that none is written."""
        return str(self._failed("", f"the existing ones cannot be seen: {problem}"))

    def tell_again(self) -> None:
        """What was told already is told once more when it is found so."""
        self._told.clear()

    def _failed(self, namespace: str, message: str) -> NotWrittenError:
        self._count.labels("failed").inc()
        self._tell(namespace, logging.ERROR, f"configmap {message}")
        return NotWrittenError(message)

    def _tell(self, namespace: str, level: int, message: str) -> bool:
        """Once, until there is something else to tell of that namespace; returns whether it was new."""
        new = self._told.get(namespace) != message
        if new:
            log.log(level, "%s", message)
        self._told[namespace] = message
        return new
