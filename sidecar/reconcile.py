"""Keeps the generated ConfigMaps right in a thread of its own: a slow API server delays no file.

It is level-triggered: whatever happened, it compares what should be with what is. One that fails is tried
again with backoff, and costs no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.backoff import Backoff
from sidecar.cluster import Cluster, Resource
from sidecar.config_maps import ConfigMaps, NotWrittenError
from sidecar.generated import ConfigMapData, Generated
from sidecar.leader import Election
from sidecar.threads import Part
from sidecar.watch import Watch, Watches
from toolset.names import GENERATED

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""Without being woken it looks so often: holds end, and so do namespaces."""


@dataclass(frozen=True)
class Desired:
    """The ConfigMaps that should be there, by namespace, and where to look for those that should not."""

    data: Mapping[str, ConfigMapData] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()
    repair: bool = True


class Reconciler(Part):
    """Nothing is written before :meth:`publish`."""

    def __init__(
        self,
        cluster: Cluster,
        config_maps: ConfigMaps,
        election: Election,
        *,
        restarted: Callable[[], object] = lambda: None,
        changed: Callable[[], object] = lambda: None,
        failed: Callable[[str], object] = lambda _: None,
    ) -> None:
        """``changed`` is called when what failed, or what is confirmed, is another.

        ``failed`` is told why a ConfigMap is not written, once for each reason.
        """
        super().__init__("reconciler")
        self.config_maps = config_maps
        self.election = election
        self.failures: tuple[str, ...] = ()
        """What is not as it should be, one sentence each; replaced whole."""
        self._watches = Watches(
            cluster,
            lambda namespace: Resource.named("configmaps", GENERATED, namespace),
            config_maps.store,
            changed=self.wake,
            restarted=restarted,
        )
        self._changed = changed
        self._failed = failed
        self._cluster = cluster
        self._desired: Desired | None = None
        self._compared: Desired | None = None
        self._failing: dict[str, tuple[str, Backoff, float]] = {}
        self._woken = threading.Event()

    def watches(self) -> list[Watch]:
        """What it watches, to be looked after."""
        return list(self._watches)

    def stop(self) -> None:
        """Lets the write that is under way end."""
        self._stopping.set()
        self._woken.set()
        self._join(6)
        self._watches.stop()

    @property
    def confirmed(self) -> set[str]:
        """Namespaces whose ConfigMap was written, or found right."""
        return self.config_maps.confirmed

    def publish(self, desired: Desired, *, tell: bool) -> list[str]:
        """This should be from now on; with ``tell`` it says of each ConfigMap what is seen."""
        if tell:
            self.config_maps.tell_again()
        self._desired = desired
        # Also where there is one still that is not wanted any more: it has to be taken back first.
        left = self.config_maps.namespaces() if desired.namespaces else set()
        self._watches.cover({*desired.namespaces, *left})
        self.wake()
        return []

    def recall(self, namespace: str) -> str:
        """The ``toolset.json`` of a namespace."""
        return recall(self._cluster, namespace)

    def wake(self) -> None:
        """Something changed: it looks at once."""
        self._woken.set()

    def _run(self) -> None:
        wait = LOOK_SECONDS
        while not self._stopping.is_set():
            self._woken.wait(wait)
            self._woken.clear()
            try:
                self._look()
            except Exception:
                log.exception("reconciling configmaps failed by a bug, please report it; tried again")
                self._stopping.wait(1.0)
            due = [retry_at for _, _, retry_at in self._failing.values()]
            wait = min([LOOK_SECONDS, *(max(0.05, at - time.monotonic()) for at in due)])

    def _look(self) -> None:
        desired = self._desired
        if desired is None:
            return
        before = self.failures, len(self.confirmed)
        if self._watches.synced:
            self._compare(desired)
            self.failures = tuple(message for message, _, _ in self._failing.values())
        elif self._watches.problem:
            self.failures = (self.config_maps.unseen(self._watches.problem),)
        if before != (self.failures, len(self.confirmed)):
            self._changed()

    def _compare(self, desired: Desired) -> None:
        if desired is not self._compared:
            # Another content may well be accepted.
            known = self._compared.data if self._compared else {}
            for namespace in [it for it in self._failing if known.get(it) != desired.data.get(it)]:
                del self._failing[namespace]
            self._compared = desired
        for namespace in sorted({*self.config_maps.namespaces(), *desired.data}):
            if self._stopping.is_set():
                return
            if not self.election.leads:
                self._failing.clear()
                self.config_maps.follow(namespace, desired.data.get(namespace), self.election.holder)
            elif self._due(namespace):
                self._put(namespace, desired)

    def _due(self, namespace: str) -> bool:
        failing = self._failing.get(namespace)
        return failing is None or failing[2] <= time.monotonic()

    def _put(self, namespace: str, desired: Desired) -> None:
        try:
            self.config_maps.put(namespace, desired.data.get(namespace), repair=desired.repair)
        except NotWrittenError as error:
            told, backoff, _ = self._failing.get(namespace, ("", Backoff(1.0, 60.0), 0.0))
            if told != str(error):
                self._failed(str(error))
            self._failing[namespace] = (str(error), backoff, time.monotonic() + backoff.next())
        else:
            self._failing.pop(namespace, None)


def scope(own: Sequence[str], namespaces: Sequence[str]) -> tuple[str, ...]:
    """Where to look for generated ConfigMaps: everywhere, or where it is looked for Services, and at home."""
    return tuple(sorted({*namespaces, *own})) if namespaces else ()


class Once:
    """Publishes ConfigMaps in the caller's thread, with nothing watched: for a single pass."""

    def __init__(self, cluster: Cluster, config_maps: ConfigMaps) -> None:
        self._cluster = cluster
        self._config_maps = config_maps

    @property
    def confirmed(self) -> set[str]:
        """Namespaces whose ConfigMap was written, or found right."""
        return self._config_maps.confirmed

    def publish(self, desired: Desired, *, tell: bool) -> list[str]:
        """Lists what is there, and writes what should be; returns what failed."""
        del tell
        objects = (
            obj
            for namespace in desired.namespaces or ("",)
            for obj in self._cluster.objects(Resource.named("configmaps", GENERATED, namespace))
        )
        return self._config_maps.publish(desired.data, objects, repair=desired.repair)

    def recall(self, namespace: str) -> str:
        """The ``toolset.json`` of a namespace."""
        return recall(self._cluster, namespace)


def recall(cluster: Cluster, namespace: str) -> str:
    """The ``toolset.json`` that we wrote in a namespace; empty where there is none of ours.

    Raises:
        ClusterError: it cannot be read.
    """
    obj = cluster.config_map(namespace, GENERATED)
    if obj is None or not Generated.from_object(obj).ours:
        return ""
    return str((obj.get("data") or {}).get("toolset.json") or "")
