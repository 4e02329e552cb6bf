"""What the recogniser makes of the corpus: offline, one look at each cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecar.config import Config
from sidecar.discovery import Discoverer, recognise
from sidecar.prove import NoProber
from tests.corpus.score import Choice, Key, Record, clusters
from toolset.catalogue import bundled
from toolset.discovered import Discovery
from toolset.service import Service

DOMAIN = "cluster.local"


def services(records: Iterable[Record]) -> list[Service]:
    """The Services alone."""
    return [Service.from_object(record["service"]) for record in records]


def look(records: Iterable[Record]) -> Discovery:
    """One look at the Services of one cluster."""
    recognised = recognise(services(records), bundled(), Config(), DOMAIN)
    return Discoverer(NoProber(), Config()).discover(recognised, 0.0)


def choices(records: Iterable[Record]) -> Iterator[Choice]:
    """What is discovered in all clusters."""
    for cluster, rows in clusters(records).items():
        for found in look(rows).discovered:
            key = Key(cluster, found.service.namespace, found.service.name)
            yield Choice(key, found.type, found.endpoint.url(found.service.host(DOMAIN)))
