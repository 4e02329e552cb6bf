"""Where Services, configuration and people's wishes come from: a cluster, or files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sidecar import manifests
from sidecar.cluster import Cluster, Resource
from sidecar.config import Config
from sidecar.connection import ClusterError
from sidecar.generated import LABELS
from sidecar.manifests import ManifestError
from sidecar.service_patterns import Catalogues, Judged
from sidecar.store import Store
from sidecar.watch import Watch
from toolset.backing import Slice
from toolset.service import Service

log = logging.getLogger(__name__)


class SourceError(Exception):
    """The Services could not be seen, which is not the same as there being none."""


class WrongTextError(SourceError):
    """A text is wrong, or must be there and is not: trying again will not help. One line an error."""


class NotYetError(SourceError):
    """Nothing is amiss, but the first list is not there yet: a change will be told."""


class ServiceSource(Protocol):
    """Where Services are seen."""

    @property
    def description(self) -> str:
        """Where, as messages name it."""

    def services(self, config: Config) -> Iterable[Service]:
        """All Services that the configuration asks for.

        Raises:
            SourceError: they cannot be seen; nothing is known about what is there.
        """

    def slices(self, service: Service) -> list[Slice] | None:
        """The EndpointSlices of a Service; None where they cannot be seen."""

    def service_patterns(self, config: Config) -> Sequence[Mapping[str, Any]]:
        """The ServicePattern resources; none where they cannot be seen, which is told."""

    def tell(self, judged: Sequence[Judged]) -> None:
        """Tells the authors of ServicePatterns what became of them."""

    def changed(self) -> bool:
        """Whether something changed since :meth:`services`; cheap enough to ask four times a second."""

    def start(self, changed: Callable[[], object]) -> None:
        """From now on ``changed`` is called after each change, by a source that watches."""

    def stop(self) -> None:
        """Ends what was started."""

    def watches(self) -> Sequence[Watch]:
        """What watches, to be looked after."""

    def care_for(self, catalogues: Catalogues) -> None:
        """Services that these do not speak for need not be kept."""

    def slices_stirred(self) -> set[str]:
        """The Services whose EndpointSlices changed since the last time."""

    def settle(self, *, whole: bool) -> None:
        """Called after a pass; ``whole`` if it looked at everything."""


class _Unwatched:
    """A source that watches nothing."""

    def start(self, changed: Callable[[], object]) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to end."""

    def watches(self) -> Sequence[Watch]:
        """None."""
        return ()

    def care_for(self, catalogues: Catalogues) -> None:
        """Nothing is kept."""

    def slices_stirred(self) -> set[str]:
        """Never told."""
        return set()

    def settle(self, *, whole: bool) -> None:
        """Nothing to settle."""


class ManifestSource(_Unwatched):
    """Services of manifests; nothing of them can be asked."""

    def __init__(self, path: str) -> None:
        self.description = f"manifests in {path}"
        self._path = path
        self._fingerprint = ""

    def services(self, config: Config) -> Iterable[Service]:
        """Every Service of the manifests; one broken manifest is told and costs its own only."""
        del config
        self._fingerprint = self._now()
        try:
            read = manifests.read(self._path)
        except ManifestError as error:
            raise SourceError(str(error)) from error
        for problem in read.problems:
            log.warning("manifest %s", problem)
        if read.problems and not read.services:
            raise SourceError(f"{self._path}: no Service could be read of it")
        return read.services

    def slices(self, service: Service) -> list[Slice] | None:
        """Manifests hold none."""
        del service
        return None

    def service_patterns(self, config: Config) -> Sequence[Mapping[str, Any]]:
        """Not read from manifests."""
        del config
        return ()

    def tell(self, judged: Sequence[Judged]) -> None:
        """Nobody to tell."""

    def changed(self) -> bool:
        """Whether a manifest was added, removed or written."""
        return self._fingerprint != self._now()

    def _now(self) -> str:
        return "" if self._path == "-" else manifests.fingerprint(self._path)


class ClusterSource(_Unwatched):
    """Services of a cluster, listed anew each time."""

    def __init__(self, cluster: Cluster, *, tells: bool = False) -> None:
        """With ``tells``, ServicePatterns get a status and, when refused, an Event."""
        self._cluster = cluster
        self._tells = tells
        self._blind = ""
        self._told: dict[str, str] = {}

    @property
    def description(self) -> str:
        """The API server's URL."""
        return f"the cluster at {self._cluster.server}"

    def services(self, config: Config) -> Iterable[Service]:
        """One paged list a namespace, or one of all."""
        try:
            yield from self._cluster.services(config.namespaces)
        except ClusterError as error:
            raise SourceError(str(error)) from error

    def slices(self, service: Service) -> list[Slice] | None:
        """Asked for one Service at a time: only few need them."""
        try:
            return [*self._cluster.endpoint_slices(service.namespace, service.name)]
        except ClusterError as error:
            if str(error) != self._blind:
                log.warning("the EndpointSlices of %s cannot be seen: %s", service.key, error)
            self._blind = str(error)
            return None

    def service_patterns(self, config: Config) -> Sequence[Mapping[str, Any]]:
        """Of the watched namespaces. A cluster without the resource has none."""
        try:
            return self._cluster.service_patterns(config.namespaces)
        except ClusterError as error:
            log.warning("ServicePatterns cannot be seen, and are not used: %s", error)
            return ()

    def tell(self, judged: Sequence[Judged]) -> None:
        """By a log line; where it ``tells`` also by a condition of its status, and an Event."""
        told, self._told = self._told, {}
        for one in judged:
            metadata = one.object["metadata"]
            key = f"{metadata['namespace']}/{metadata['name']}"
            self._told[key] = one.problem
            if one.problem and told.get(key) != one.problem:
                log.warning("ServicePattern %s is not used: %s", key, one.problem)
            if self._tells:
                try:
                    self._cluster.tell_service_pattern(one.object, one.problem)
                except ClusterError as error:
                    log.warning("the author of a ServicePattern cannot be told: %s", error)

    def changed(self) -> bool:
        """Never told: the interval decides."""
        return False


class TextSource(Protocol):
    """A text that people write: the configuration, overrides, or HolmesGPT's base file."""

    @property
    def description(self) -> str:
        """Where the text is, as messages name it."""

    def read(self) -> str:
        """The text; empty when there is none.

        Raises:
            SourceError: there is one, and it cannot be read.
        """

    def stamp(self) -> object:
        """Another one whenever the text may have changed; cheap. Constant where that costs a request."""


@dataclass(frozen=True)
class FileText:
    """A file; ``required`` says whether it must exist."""

    path: Path
    required: bool = False

    @property
    def description(self) -> str:
        """The file's path."""
        return str(self.path)

    def read(self) -> str:
        """The file's text."""
        try:
            return self.path.read_text("utf-8")
        except FileNotFoundError as error:
            if self.required:
                raise WrongTextError(f"{self.path}: no such file") from error
            return ""
        except UnicodeDecodeError as error:
            raise WrongTextError(f"{self.path}: is not UTF-8") from error
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read: {error.strerror}") from error

    def stamp(self) -> object:
        """The file's identity, size and time. A mounted ConfigMap is another file after each change."""
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_size, stat.st_mtime_ns


class ConfigMapText:
    """One key of a ConfigMap in the service's own namespace.

    Where the ConfigMap is missing and there is a ``default``, it is created with that. It is never
    written otherwise: applying the service's manifest again must not reset what operators changed.
    """

    def __init__(self, cluster: Cluster, namespace: str, name: str, key: str, default: str = "") -> None:
        self.namespace = namespace
        self.name = name
        self._cluster = cluster
        self._key = key
        self._default = default
        self._store: Store[str] = Store(self._text)
        self._watch: Watch | None = None
        self._read: str | None = None

    @property
    def description(self) -> str:
        """Where the text is, as the logs name it."""
        return f"configmap {self.namespace}/{self.name}, key {self._key}"

    def watched(self, **options: Any) -> Watch:
        """A watch of it, with options of :class:`~sidecar.watch.Watch`; used once it is started."""
        resource = Resource.named("configmaps", self.name, self.namespace)
        self._watch = Watch(self._cluster, resource, self._store, **options)
        return self._watch

    def read(self) -> str:
        """The key's text; empty when the ConfigMap or the key is not there."""
        if self._watched:
            text = self._store.get(self.namespace, self.name)
        else:
            try:
                obj = self._cluster.config_map(self.namespace, self.name)
            except ClusterError as error:
                raise SourceError(str(error)) from error
            text = None if obj is None else self._text(obj)
        if text is None and self._default:
            self._create()
        self._read = text or ""
        return self._read

    def stamp(self) -> object:
        """The text itself once it is watched; until then what was read: the next pass reads it anyway."""
        return (self._store.get(self.namespace, self.name) or "") if self._watched else self._read

    @property
    def _watched(self) -> bool:
        return self._watch is not None and self._watch.synced and not self._watch.problem

    def _text(self, obj: Mapping[str, Any]) -> str:
        return str((obj.get("data") or {}).get(self._key) or "")

    def _create(self) -> None:
        metadata = {"namespace": self.namespace, "name": self.name, "labels": dict(LABELS)}
        obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {self._key: self._default},
        }
        try:
            self._store.put(self._cluster.apply_config_map(obj))
        except ClusterError as error:
            log.warning(
                "configmap %s/%s with the defaults was not created: %s", self.namespace, self.name, error
            )
        else:
            log.info("configmap %s/%s created, with the defaults", self.namespace, self.name)
