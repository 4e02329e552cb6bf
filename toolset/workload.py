"""What a manifest says of the pods behind a Service, as lines that the catalogue's hints are sought in.

Arguments, environment, probes and the configuration that is mounted tell what a Service cannot: below
which prefix the product serves, and whether it speaks TLS. Values of Secrets are never read.

* ``arg --web.route-prefix=/prom``
* ``env QUERY_BASE_PATH=/jaeger``
* ``probe HTTPS 9091 /-/ready``
* ``config grafana.ini: root_url = https://ops.example.com/grafana``
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from toolset.service import Service

KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})

MAX_LINES = 2_000
"""Lines kept of one workload; a configuration longer than that is looked at so far."""

_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


@dataclass(frozen=True, slots=True)
class Workload:
    """Pods of one kind: where they are, what selects them, and what is said of them."""

    namespace: str
    labels: Mapping[str, str]
    lines: tuple[str, ...]

    def is_behind(self, service: Service) -> bool:
        """Whether the Service's selector selects these pods."""
        return (
            bool(service.selector)
            and service.namespace == self.namespace
            and service.selector.items() <= self.labels.items()
        )


def read(obj: Mapping[str, Any], config_maps: Mapping[tuple[str, str], Mapping[str, Any]]) -> Workload:
    """A Deployment, StatefulSet or DaemonSet; what is not as the API reference says is passed over.

    ``config_maps`` holds the data of each ConfigMap by namespace and name.
    """
    namespace = str(_mapping(obj, "metadata").get("namespace") or "default")
    template = _mapping(_mapping(obj, "spec"), "template")
    labels = _mapping(_mapping(template, "metadata"), "labels")

    def data(source: Mapping[str, Any]) -> Mapping[str, Any]:
        return config_maps.get((namespace, str(source.get("name"))), {})

    found = _lines(_mapping(template, "spec"), data)
    return Workload(
        namespace,
        {str(key): str(value) for key, value in labels.items()},
        tuple(islice(found, MAX_LINES)),
    )


_Data = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _lines(spec: Mapping[str, Any], data: _Data) -> Iterator[str]:
    for container in _mappings(spec.get("containers")):
        yield from _arguments(container)
        yield from _environment(container, data)
        for kind in _PROBES:
            probe = _mapping(_mapping(container, kind), "httpGet")
            if probe:
                yield f"probe {probe.get('scheme') or 'HTTP'} {probe.get('port')} {probe.get('path') or '/'}"
    for volume in _mappings(spec.get("volumes")):
        for source in (volume, *_mappings(_mapping(volume, "projected").get("sources"))):
            for key, text in data(_mapping(source, "configMap")).items():
                yield from (f"config {key}: {line.strip()}" for line in str(text).splitlines())


def _environment(container: Mapping[str, Any], data: _Data) -> Iterator[str]:
    for source in _mappings(container.get("envFrom")):
        for key, value in data(_mapping(source, "configMapRef")).items():
            yield f"env {key}={value}"
    for variable in _mappings(container.get("env")):
        value = variable.get("value")
        if value is None:
            ref = _mapping(_mapping(variable, "valueFrom"), "configMapKeyRef")
            value = data(ref).get(str(ref.get("key")))
        if value is not None:
            yield f"env {variable.get('name')}={value}"


def _arguments(container: Mapping[str, Any]) -> Iterator[str]:
    """Arguments as ``--name=value``, also those written as two."""
    words = [str(word) for key in ("command", "args") for word in _list(container.get(key))]
    for word, after in zip(words, [*words[1:], ""], strict=False):
        joined = word.startswith("-") and "=" not in word and after and not after.startswith("-")
        yield f"arg {word}={after}" if joined else f"arg {word}"


def _mapping(obj: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = obj.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mappings(value: Any) -> Iterable[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, Mapping)]
