"""Follows the objects of one resource: lists them once, then watches from there, whatever breaks.

Kubernetes: API concepts, Efficient detection of changes. A watch goes on from the last version that was
heard of, bookmarks included, so that a lost stream costs no list. Models: kopf's ``watching.py`` and
kubespawner's ``reflector.py``; the client library's informer has no read timeout and no backoff.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sidecar.backoff import Backoff
from sidecar.cluster import Cluster, Resource
from sidecar.connection import ClusterError, GoneError, JsonObject, NotFoundError, Stream, error_of
from sidecar.store import Sink
from sidecar.threads import Part

log = logging.getLogger(__name__)

SILENCE_SECONDS = 70.0
"""A stream that says nothing for so long is given up. The API server sends a bookmark a minute, and most
load balancers cut what is idle for longer; a lost connection says nothing at all."""

LIFETIME_SECONDS = (240, 300)
"""The API server is asked to end a stream after so long: connections spread anew over its replicas."""

STEADY_SECONDS = 5.0
"""A stream that lasted for so long is followed by the next at once; a server that hangs up is not pressed."""

ANSWERS_BEFORE_LIST = 3
"""Refusals of a stream before all is listed anew."""

ABSENT_SECONDS = 30.0
"""How often what may not be seen is asked for again; what does not exist, as often as is listed anew."""

HUNG_SECONDS = 240.0
"""A thread that did not turn for so long hangs: longer than any list or silence that is waited for."""


class Watch(Part):
    """One watch in a thread of its own."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        sink: Sink,
        *,
        changed: Callable[[], object] = lambda: None,
        relist_after: Callable[[], float] = lambda: 300.0,
        restarted: Callable[[], object] = lambda: None,
        optional: bool = False,
        tells_first: bool = True,
    ) -> None:
        """``changed`` is called after a change, and when seeing begins to fail or to work again.

        ``relist_after`` gives the seconds without event or bookmark after which all is listed anew;
        ``restarted`` is called at each new stream but the first. With ``optional`` a resource that does
        not exist is one without objects. Without ``tells_first`` the first list is no change.
        """
        super().__init__(f"watch of {resource}")
        self.resource = resource
        self.synced = False
        """Whether a list was complete once."""
        self.problem = ""
        """Why nothing can be seen now; empty while it can."""
        self.heard_at = time.monotonic()
        """When the API server was heard of it last."""
        self._cluster = cluster
        self._sink = sink
        self._changed = changed
        self._relist_after = relist_after
        self._restarted = restarted
        self._optional = optional
        self._tells_first = tells_first
        self._stream: Stream | None = None
        self._version = self._listed = ""
        self._relist = threading.Event()
        self._streams = 0
        self._backoff = Backoff(0.1, 30.0)
        self._turned_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether its thread runs, and turned lately."""
        return super().alive and time.monotonic() - self._turned_at < HUNG_SECONDS

    def start(self) -> None:
        """Returns at once."""
        self._turned_at = time.monotonic()
        super().start()

    def stop(self) -> None:
        """Returns at once; the thread ends when what it waits for is over."""
        self._stopping.set()
        self._end_stream()

    def relist(self) -> None:
        """Lists all anew, since what is worth keeping is another now."""
        self._relist.set()
        self._end_stream()

    def _end_stream(self) -> None:
        stream = self._stream
        if stream is not None:
            stream.end()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._turned_at = time.monotonic()
            self._rest(self._turn())

    def _rest(self, seconds: float) -> None:
        """Waits, and counts as alive all the while."""
        until = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            self._turned_at = time.monotonic()
            self._stopping.wait(min(left, ABSENT_SECONDS))

    def _turn(self) -> float:
        """A list if one is needed, and a stream to its end; returns how long to wait before the next."""
        try:
            if self._must_list():
                self._list()
            return self._follow()
        except GoneError:
            self._version = ""
            return self._backoff.next()
        except NotFoundError as error:
            self._version = ""
            if not self._optional:
                return self._failed(error)
            self._saw(self._sink.replace((), self.resource.namespace))
            return max(ABSENT_SECONDS, self._relist_after())
        except ClusterError as error:
            if error.status and self._backoff.failures >= ANSWERS_BEFORE_LIST:
                # It answers, and not to this version: it may be of a future that a restored backup took back.
                self._version = ""
            return self._failed(error)
        except Exception as error:
            log.exception("the watch of %s failed by a bug, please report it; tried again", self.resource)
            self._version = ""
            return self._failed(error)

    def _must_list(self) -> bool:
        silence = time.monotonic() - self.heard_at
        return not self._version or self._relist.is_set() or silence > self._relist_after()

    def _list(self) -> None:
        self._relist.clear()
        self._version = ""
        changed = self._sink.replace(self._objects(), self.resource.namespace)
        self._version = self._listed
        self._saw(changed)

    def _objects(self) -> Iterator[JsonObject]:
        for items, version in self._cluster.pages(self.resource):
            self._listed = version
            self._turned_at = time.monotonic()
            yield from items

    def _follow(self) -> float:
        query = {
            **self.resource.selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(*LIFETIME_SECONDS)),  # noqa: S311 - nothing secret
        }
        silence = min(SILENCE_SECONDS, max(1.0, self._relist_after()))
        began = time.monotonic()
        with self._cluster.stream(self.resource.path, query, silence) as stream:
            if self._streams:
                self._restarted()
            self._streams += 1
            self._recovered()
            self._stream = stream
            try:
                self._hear(stream)
            except GoneError:
                raise
            except ClusterError as error:
                # However a stream ends, the next goes on from where it was: that one's failure counts.
                log.debug("the watch of %s ended: %s", self.resource, error)
            finally:
                self._stream = None
        if self._relist.is_set() or time.monotonic() - began > STEADY_SECONDS:
            return 0.0
        return self._backoff.next()

    def _hear(self, stream: Stream) -> None:
        if self._relist.is_set() or self._stopping.is_set():
            return  # asked for while the stream was being opened
        for event in stream:
            self._turned_at = time.monotonic()
            self._take(event)

    def _take(self, event: JsonObject) -> None:
        kind, obj = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            message = str(obj.get("message") or "no reason given")
            raise error_of(f"watch {self.resource.path}", int(obj.get("code") or 500), message)
        changed = False
        if kind in {"ADDED", "MODIFIED"}:
            changed = self._sink.put(obj)
        elif kind == "DELETED":
            changed = self._sink.drop(obj)
        elif kind != "BOOKMARK":
            log.warning("the watch of %s: an event of unknown type %.40r is passed over", self.resource, kind)
        self._version = str(obj["metadata"]["resourceVersion"])
        self.heard_at = time.monotonic()
        self._backoff.reset()
        if changed:
            self._changed()

    def _saw(self, changed: bool) -> None:
        self.heard_at = time.monotonic()
        self._backoff.reset()
        first, self.synced = not self.synced, True
        self._recovered()
        if self._tells_first if first else changed:
            self._changed()

    def _recovered(self) -> None:
        if self.problem:
            log.info("%s can be seen again", self.resource)
            self.problem = ""
            self._changed()

    def _failed(self, error: Exception) -> float:
        """Told when it begins; those who look at it say how long it lasts."""
        wait = self._backoff.next()
        if isinstance(error, ClusterError) and error.status in {401, 403, 404}:
            wait = max(wait, min(ABSENT_SECONDS, self._relist_after()))
        problem = str(error)
        if problem != self.problem:
            log.warning("%s cannot be seen: %s; tried again until they can", self.resource, problem)
            self.problem = problem
            self._changed()
        return wait


MAX_NAMESPACED = 10
"""Up to so many namespaces are watched one by one, which a Role each can grant; more by one watch of all."""


class Watches:
    """The watches of one resource: one of all namespaces, or of a few one each. Ask it from one thread."""

    def __init__(
        self, cluster: Cluster, resource: Callable[[str], Resource], sink: Sink, **options: Any
    ) -> None:
        """``resource`` gives that of a namespace, or of all; ``options`` are those of :class:`Watch`."""
        self._cluster = cluster
        self._resource = resource
        self._sink = sink
        self._options = options
        self._watches: dict[str, Watch] = {}

    def __iter__(self) -> Iterator[Watch]:
        return iter(list(self._watches.values()))

    def cover(self, namespaces: Iterable[str]) -> None:
        """Watches these namespaces, or without any all; what is not watched any more is forgotten."""
        wanted = set(namespaces)
        scopes = wanted if 0 < len(wanted) <= MAX_NAMESPACED else {""}
        for scope in self._watches.keys() - scopes:
            self._watches.pop(scope).stop()
            self._sink.replace((), scope)
        for scope in scopes - self._watches.keys():
            self._watches[scope] = Watch(self._cluster, self._resource(scope), self._sink, **self._options)
            self._watches[scope].start()

    def relist(self) -> None:
        """Lists all anew, since what is worth keeping is another now."""
        for watch in self:
            watch.relist()

    def stop(self) -> None:
        """Ends them all; returns at once."""
        for watch in self:
            watch.stop()

    @property
    def synced(self) -> bool:
        """Whether all has been seen once."""
        return bool(self._watches) and all(watch.synced for watch in self)

    @property
    def problem(self) -> str:
        """Why something cannot be seen now; empty while all can."""
        return next((watch.problem for watch in self if watch.problem), "")
