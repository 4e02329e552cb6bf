"""What the recogniser makes of the corpus: offline, one look at each cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from sidecar.config import Config
from sidecar.discovery import Discoverer
from sidecar.prove import NoProber
from sidecar.recognised import recognise
from tests.corpus.score import Choice, Key, Record, clusters
from toolset import workload
from toolset.catalogue import bundled
from toolset.discovered import Discovery
from toolset.service import Service

_PROBES = ("readiness", "liveness", "startup")

DOMAIN = "cluster.local"


def services(records: Iterable[Record]) -> list[Service]:
    """The Services alone."""
    return [Service.from_object(record["service"]) for record in records]


def with_workloads(records: Iterable[Record]) -> list[Service]:
    """The Services, with what the corpus holds of the pods behind them."""
    return [
        replace(Service.from_object(record["service"]), workload=tuple(_lines(record.get("workload") or {})))
        for record in records
    ]


def _lines(pods: dict[str, Any]) -> Iterator[str]:
    """The corpus' short form in full, read as a manifest is; its lines of configuration as they are."""
    containers = [
        {
            "args": it.get("args", []),
            "env": [{"name": name, "value": value} for name, value in it.get("env", {}).items()],
            **{
                f"{kind}Probe": {"httpGet": it[kind]}
                for kind in ("readiness", "liveness", "startup")
                if kind in it
            },
        }
        for it in pods.get("containers", [])
    ]
    yield from workload.read({"spec": {"template": {"spec": {"containers": containers}}}}, {}).lines
    yield from (f"config {line}" for line in pods.get("config", []))


def look(given: Iterable[Service]) -> Discovery:
    """One look at the Services of one cluster."""
    recognised = recognise(given, bundled(), Config(), DOMAIN)
    return Discoverer(Config()).discover(recognised, NoProber(), 0.0)


def choices(records: Iterable[Record], *, workloads: bool = False) -> Iterator[Choice]:
    """What is discovered in all clusters; with ``workloads`` as if their manifests were there too."""
    read = with_workloads if workloads else services
    for cluster, rows in clusters(records).items():
        for found in look(read(rows)).discovered:
            key = Key(cluster, found.service.namespace, found.service.name)
            yield Choice(key, found.type, found.endpoint.url(found.service.host(DOMAIN)))
