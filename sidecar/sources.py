"""Where Services, configuration and people's wishes come from: a cluster, or files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sidecar import manifests
from sidecar.cluster import Cluster, ClusterError
from sidecar.config import Config
from sidecar.manifests import ManifestError
from sidecar.publish import LABELS
from sidecar.service_patterns import Judged
from toolset.backing import Slice
from toolset.service import Service

log = logging.getLogger(__name__)

CONFIG_MAP = "kubernaut-dynamic-toolset-config"
OVERRIDES_MAP = "kubernaut-toolset-overrides"


class SourceError(Exception):
    """The Services could not be seen, which is not the same as there being none."""


class WrongTextError(SourceError):
    """A text is wrong, or must be there and is not: trying again will not help. One line an error."""


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


class ManifestSource:
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


class ClusterSource:
    """Services of a cluster, listed anew each time."""

    def __init__(self, cluster: Cluster, *, tells: bool = False) -> None:
        """With ``tells``, ServicePatterns get a status and, when refused, an Event."""
        self._cluster = cluster
        self._tells = tells

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
            log.warning("the EndpointSlices of %s cannot be seen: %s", service.key, error)
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
        for one in judged:
            if one.problem:
                metadata = one.object["metadata"]
                key = f"{metadata['namespace']}/{metadata['name']}"
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


@dataclass(frozen=True)
class ConfigMapText:
    """One key of a ConfigMap in the service's own namespace.

    Where the ConfigMap is missing and there is a ``default``, it is created with that. It is never
    written otherwise: applying the service's manifest again must not reset what operators changed.
    """

    cluster: Cluster
    namespace: str
    name: str
    key: str
    default: str = ""

    @property
    def description(self) -> str:
        """Where the text is, as the logs name it."""
        return f"configmap {self.namespace}/{self.name}, key {self.key}"

    def read(self) -> str:
        """The key's text; empty when the ConfigMap or the key is not there."""
        try:
            obj = self.cluster.config_map(self.namespace, self.name)
        except ClusterError as error:
            raise SourceError(str(error)) from error
        if obj is None and self.default:
            self._create()
        return str(((obj or {}).get("data") or {}).get(self.key) or "")

    def _create(self) -> None:
        metadata = {"namespace": self.namespace, "name": self.name, "labels": dict(LABELS)}
        obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {self.key: self.default},
        }
        try:
            self.cluster.apply_config_map(obj)
        except ClusterError as error:
            log.warning(
                "configmap %s/%s with the defaults was not created: %s", self.namespace, self.name, error
            )
        else:
            log.info("configmap %s/%s created, with the defaults", self.namespace, self.name)

    def stamp(self) -> object:
        """Never told: the next pass reads it anyway."""
        return None
