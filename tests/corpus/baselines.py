"""What others find in the same Services, to compare with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tests.corpus.score import Choice, Record, clusters, key_of


class _Detector(NamedTuple):
    kind: str
    port_name: str
    port: int
    ports_to_use: tuple[str, ...]


_FORMER = (
    _Detector("prometheus", "web", 9090, ("web",)),
    _Detector("grafana", "service", 3000, ("service", "http")),
    _Detector("jaeger", "query", 16686, ("query", "ui")),
    _Detector("elasticsearch", "", 9200, ("http", "api")),
)
"""The former service's detectors (jordigilh/kubernaut, pkg/toolset/discovery), in their order."""

FORMER_KINDS = frozenset(detector.kind for detector in _FORMER)

_NAME = "app.kubernetes.io/name"
_HOLMES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("prometheus", {"app": "kube-prometheus-stack-prometheus"}),
    ("prometheus", {"app": "prometheus", "component": "server", "release": "!kubecost"}),
    ("prometheus", {"app": "prometheus-server"}),
    ("prometheus", {"app": "prometheus-operator-prometheus"}),
    ("prometheus", {"app": "rancher-monitoring-prometheus"}),
    ("prometheus", {"app": "prometheus-prometheus"}),
    ("thanos", {"app.kubernetes.io/component": "query", _NAME: "thanos"}),
    ("thanos", {_NAME: "thanos-query"}),
    ("thanos", {"app": "thanos-query"}),
    ("thanos", {"app": "thanos-querier"}),
    ("victoriametrics", {_NAME: "vmsingle"}),
    ("victoriametrics", {_NAME: "victoria-metrics-single"}),
    ("victoriametrics", {_NAME: "vmselect"}),
    ("victoriametrics", {"app": "vmselect"}),
)
"""HolmesGPT's own selectors (holmes/plugins/toolsets/service_discovery.py), in their order."""


def holmesgpt(records: Iterable[Record]) -> Iterator[Choice]:
    """The first selector with a hit in a cluster: its first Service, its first port, http."""
    for rows in clusters(records).values():
        for kind, selector in _HOLMES:
            hits = [row for row in rows if _selected(_labels(row), selector)]
            if hits and hits[0]["service"]["spec"].get("ports"):
                yield _choice(hits[0], kind, hits[0]["service"]["spec"]["ports"][0]["port"])
                break


def former(records: Iterable[Record]) -> Iterator[Choice]:
    """What its four detectors take, before its health check: a label, a part of the name, or a port."""
    for row in records:
        ports = row["service"]["spec"].get("ports") or []
        for detector in _FORMER:
            if ports and _detected(detector, row):
                by_name = [p["port"] for use in detector.ports_to_use for p in ports if p.get("name") == use]
                by_number = [p["port"] for p in ports if p["port"] == detector.port]
                yield _choice(row, detector.kind, [*by_name, *by_number, ports[0]["port"]][0])
                break


def _detected(detector: _Detector, row: Record) -> bool:
    labels, meta = _labels(row), row["service"]["metadata"]
    return (
        detector.kind in {labels.get("app"), labels.get(_NAME)}
        or detector.kind in meta["name"]
        or any(
            port["port"] == detector.port or (detector.port_name and port.get("name") == detector.port_name)
            for port in row["service"]["spec"]["ports"]
        )
    )


def _labels(row: Record) -> Mapping[str, str]:
    labels: Mapping[str, str] = row["service"]["metadata"].get("labels") or {}
    return labels


def _selected(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    return all(
        labels.get(key) != value[1:] if value.startswith("!") else labels.get(key) == value
        for key, value in selector.items()
    )


def _choice(row: Record, kind: str, port: int) -> Choice:
    meta = row["service"]["metadata"]
    url = f"http://{meta['name']}.{meta['namespace']}.svc.cluster.local:{port}"
    return Choice(key_of(row), kind, url)
