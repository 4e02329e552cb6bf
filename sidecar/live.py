"""Services of a cluster, watched: what is worth keeping of them is at hand, and a change is told at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sidecar.cluster import SERVICE_NAME, Cluster, Resource, service_patterns_of, slices_of, understood
from sidecar.config import Config
from sidecar.connection import JsonObject
from sidecar.service_patterns import Catalogues, Judged
from sidecar.sources import ClusterSource, NotYetError, SourceError
from sidecar.store import Sink, Store
from sidecar.watch import Watch, Watches
from toolset.backing import Slice, ready_addresses
from toolset.classify import classify
from toolset.service import Service


class LiveSource:
    """Watches what discovery looks at. Its methods are for the controller's thread."""

    def __init__(
        self,
        cluster: Cluster,
        listing: ClusterSource,
        *,
        domain: str,
        restarted: Callable[[str], object] = lambda _: None,
    ) -> None:
        """``listing`` sees what is not watched, and tells; ``restarted`` is told the kind of a new stream."""
        self._cluster = cluster
        self._listing = listing
        self._domain = domain
        self._restarted = restarted
        self._changed: Callable[[], object] = lambda: None
        self._interval = 300.0
        self._catalogues: Catalogues | None = None
        self._services = self._kind(lambda name: Resource("services", namespace=name), self._worthwhile)
        self._patterns = self._kind(service_patterns_of, _pattern, optional=True)
        self._slices = _Slices(self._watches)
        self._namespaces: tuple[str, ...] = ()

    def _kind(
        self, resource: Callable[[str], Resource], understand: Callable[[JsonObject], Any], **options: Any
    ) -> _Kind:
        store: Store[Any] = Store(understand)
        return _Kind(store, self._watches(resource, store, **options))

    def _watches(self, resource: Callable[[str], Resource], sink: Sink, **options: Any) -> Watches:
        plural = resource("").plural
        return Watches(
            self._cluster,
            resource,
            sink,
            changed=self._tell,
            relist_after=lambda: self._interval,
            restarted=lambda: self._restarted(plural),
            **options,
        )

    def _tell(self) -> None:
        self._changed()

    @property
    def description(self) -> str:
        """The API server's URL."""
        return self._listing.description

    def start(self, changed: Callable[[], object]) -> None:
        """From now on ``changed`` is called after each change; from other threads."""
        self._changed = changed

    def stop(self) -> None:
        """Ends all watches."""
        for watch in self.watches():
            watch.stop()

    def watches(self) -> list[Watch]:
        """All of them, to look after."""
        return [*self._services.watches, *self._patterns.watches, *(self._slices.watches or ())]

    def care_for(self, catalogues: Catalogues) -> None:
        """Only Services that these speak for are kept; all are listed anew when they change."""
        if self._catalogues is not None and catalogues != self._catalogues:
            self._services.watches.relist()
        self._catalogues = catalogues

    def _worthwhile(self, obj: JsonObject) -> Service | None:
        service = understood(obj)
        if service is None or self._catalogues is None:
            return service
        found = classify(service, self._catalogues.of(service), self._domain)
        return service if found.candidates or found.ruled_out else None

    def services(self, config: Config) -> Iterable[Service]:
        """Those that something in the catalogue speaks for.

        Raises:
            NotYetError: they have not been seen yet.
            SourceError: they cannot be seen now.
        """
        self._interval = config.discovery_interval.total_seconds()
        self._namespaces = config.namespaces
        watches = self._services.watches
        watches.cover(config.namespaces)
        if watches.problem:
            raise SourceError(watches.problem)
        if not watches.synced:
            raise NotYetError("the Services have not been listed yet")
        return self._services.store.values()

    def slices(self, service: Service) -> list[Slice] | None:
        """Watched from the next pass on; a headless Service, which needs them, has them listed till then."""
        watched = self._slices.of(service)
        return self._listing.slices(service) if watched is None and service.headless else watched

    def slices_stirred(self) -> set[str]:
        """The Services whose EndpointSlices changed since the last time."""
        return self._slices.stirred()

    def settle(self, *, whole: bool) -> None:
        """After a pass: watches the EndpointSlices that it asked for; a whole one forgets the others."""
        self._slices.settle(self._namespaces, forget=whole)

    def service_patterns(self, config: Config) -> Sequence[Mapping[str, Any]]:
        """Of the watched namespaces; none where they cannot be seen, which their watch tells.

        Raises:
            NotYetError: they have not been seen yet.
        """
        watches = self._patterns.watches
        watches.cover(config.namespaces)
        if watches.problem and not watches.synced:
            return ()
        if not watches.synced:
            raise NotYetError("the ServicePatterns have not been listed yet")
        return self._patterns.store.values()

    def tell(self, judged: Sequence[Judged]) -> None:
        """As when they are listed."""
        self._listing.tell(judged)

    def changed(self) -> bool:
        """Told at once instead."""
        return False


def _pattern(obj: JsonObject) -> JsonObject:
    """What is used of a ServicePattern; the rest changes without a meaning."""
    metadata = {key: obj["metadata"].get(key) for key in ("namespace", "name", "uid", "generation")}
    conditions = (obj.get("status") or {}).get("conditions") or []
    return {"metadata": metadata, "spec": obj.get("spec"), "status": {"conditions": conditions}}


@dataclass(frozen=True)
class _Kind:
    """The watches of one kind, and what is kept of it."""

    store: Store[Any]
    watches: Watches


class _Slices:
    """The EndpointSlices of the few Services that need them: headless ones, and those that do not answer."""

    def __init__(self, watches: Callable[[Callable[[str], Resource], Sink], Watches]) -> None:
        self._make = watches
        self._asked: set[str] = set()
        self._names: frozenset[str] = frozenset()
        self._store: Store[Slice] = Store(self._kept)
        self._stirred: deque[str] = deque()
        self.watches: Watches | None = None

    def of(self, service: Service) -> list[Slice] | None:
        """Those of one Service; None while they are not watched."""
        self._asked.add(service.name)
        if self.watches is None or not self.watches.synced or service.name not in self._names:
            return None
        return [it for it in self._store.values() if it["service"] == service.key]

    def stirred(self) -> set[str]:
        """The Services whose slices changed since the last time."""
        stirred = set()
        while self._stirred:
            stirred.add(self._stirred.popleft())
        return stirred

    def settle(self, namespaces: Iterable[str], *, forget: bool) -> None:
        """Watches those that were asked for; with ``forget`` no others."""
        names = frozenset(self._asked if forget else self._asked | self._names)
        self._asked = set()
        if names != self._names:
            if self.watches:
                self.watches.stop()
            self._names = names
            self.watches = self._make(partial(slices_of, sorted(names)), self._store) if names else None
        if self.watches:
            self.watches.cover(namespaces)

    def _kept(self, obj: JsonObject) -> Slice | None:
        metadata = obj["metadata"]
        name = (metadata.get("labels") or {}).get(SERVICE_NAME, "")
        if name not in self._names:
            return None
        key = f"{metadata['namespace']}/{name}"
        self._stirred.append(key)
        # One address is enough, and always the same one: what is not kept cannot look like a change.
        ready = sorted(ready_addresses(obj))[:1]
        return {"service": key, "endpoints": [{"addresses": ready}], "ports": obj.get("ports") or []}
