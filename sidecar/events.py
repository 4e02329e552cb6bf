"""Kubernetes Events: what people see with ``kubectl get events``. Repeats are counted, not piled up."""

from __future__ import annotations

import logging
import queue
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from sidecar.conditions import event_about, timestamp
from sidecar.connection import ClusterError, JsonObject, NotFoundError
from sidecar.threads import Part

log = logging.getLogger(__name__)

REMEMBERED = 500
"""Events whose repeats are counted; of older ones a repeat is a new Event."""

WAITING = 1000
"""Events that may wait to be told; in an outage of the API server the rest is in the log alone."""

ACCOUNT = "$account"
"""Stands in a message for the account that the API server takes us for."""

_Told = tuple[Mapping[str, Any], str, str, str]


class EventWriter(Protocol):
    """The part of :class:`~sidecar.cluster.Cluster` that Events need."""

    def create_event(self, event: Mapping[str, Any]) -> JsonObject:
        """Creates an Event."""

    def patch_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> JsonObject:
        """Changes fields of an Event."""

    def username(self) -> str:
        """Who the API server takes us for."""


class Recorder(Part):
    """Records Events in a thread of its own: one that is not told keeps nothing from being done."""

    def __init__(self, cluster: EventWriter) -> None:
        super().__init__("events")
        self._cluster = cluster
        self._queue: queue.Queue[_Told | None] = queue.Queue(WAITING)
        self._known: OrderedDict[tuple[str, ...], JsonObject] = OrderedDict()
        self._account = ""
        self._problem = ""

    def stop(self) -> None:
        """Tells what waits, but not for long."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._join(1)

    def record(self, obj: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        """``kind`` is ``Normal`` or ``Warning``; ``obj`` has apiVersion, kind and metadata."""
        try:
            self._queue.put_nowait((obj, kind, reason, message))
        except queue.Full:
            log.debug("too many Events wait; this one is in the log alone: %s", message)

    def _run(self) -> None:
        while (told := self._queue.get()) is not None:
            try:
                self.tell(*told)
                self._problem = ""
            except ClusterError as error:
                if str(error) != self._problem:
                    log.warning("an Event was not told: %s", error)
                self._problem = str(error)
            except Exception:
                log.exception("an Event was not told, by a bug, please report it")

    def tell(self, obj: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        """Creates the Event, or counts it once more.

        Raises:
            ClusterError: it was not told.
        """
        event = event_about(obj, kind, reason, message.replace(ACCOUNT, self._whoami()))
        about = event["involvedObject"]
        key = (about["kind"], about["namespace"], about["name"], about["uid"], reason, event["message"])
        known = self._known.pop(key, None)
        self._known[key] = (self._again(known) if known else None) or self._cluster.create_event(event)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _again(self, known: JsonObject) -> JsonObject | None:
        """None where the API server has forgotten it: it keeps Events for an hour."""
        metadata = known["metadata"]
        changes = {"count": int(known.get("count") or 1) + 1, "lastTimestamp": timestamp()}
        try:
            return self._cluster.patch_event(metadata["namespace"], metadata["name"], changes)
        except NotFoundError:
            return None

    def _whoami(self) -> str:
        if not self._account:
            try:
                self._account = self._cluster.username()
            except ClusterError as error:
                log.debug("our own account is not known: %s", error)
        return self._account or "this service"


def deployment(namespace: str, name: str) -> dict[str, Any]:
    """A Deployment, as the object that an Event is about."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": name}}


def config_map(namespace: str, name: str, uid: str = "") -> dict[str, Any]:
    """A ConfigMap, as the object that an Event is about."""
    metadata = {"namespace": namespace, "name": name, "uid": uid}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
