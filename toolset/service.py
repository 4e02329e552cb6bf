"""A Kubernetes Service as the rest of the program sees it: small, immutable, checked.

The fields are those of the core/v1 API reference,
https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/.
Everything else that a Service may carry is dropped here, so that 10,000 of them stay small.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import islice
from typing import Any

ANNOTATION_PREFIX = "kubernaut.io/toolset"
"""Annotations that begin so are addressed to us; besides them only :data:`SERVING_CERTIFICATE` are kept."""

SERVING_CERTIFICATE = frozenset(
    {
        "service.beta.openshift.io/serving-cert-secret-name",
        "service.alpha.openshift.io/serving-cert-secret-name",
    }
)
"""Annotations that give a Service's pods a certificate, so they serve TLS (OpenShift service CA)."""

MAX_PORTS = 100
"""Ports looked at per Service. The API allows as many as fit into an object; no backend needs these."""

MAX_PORT_NUMBER = 65535

MAX_LABELS = 100
"""Labels looked at per Service or selector, in the order in which they come."""

MAX_ANNOTATION = 1024
"""Characters kept of an annotation. Any value that is allowed is far shorter; the API takes 256 KiB."""

MAX_ANNOTATIONS = 12
"""Annotations kept. There are fewer that are known, so that of more at least one is refused by name."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class InvalidServiceError(ValueError):
    """A manifest that no API server would have accepted as a Service; the message says which field."""


@dataclass(frozen=True, slots=True)
class Port:
    """One TCP port of a Service."""

    number: int
    name: str = ""
    app_protocol: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """What is kept of a Service.

    ``ports`` holds TCP ports only, at most :data:`MAX_PORTS`; ``dropped_ports`` counts the rest.
    ``cluster_ip`` is empty for headless Services, for those of type ExternalName, and in manifests that
    no API server has seen; ``headless`` says which ones ask for none. ``pod_ip`` is the address of a ready
    pod, once :mod:`toolset.backing` has found one for a headless Service. ``workload`` are lines about the
    pods behind it, where it comes from manifests that hold them (:mod:`toolset.workload`).
    """

    namespace: str
    name: str
    uid: str = ""
    type: str = "ClusterIP"
    cluster_ip: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    selector: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    dropped_ports: int = 0
    headless: bool = False
    pod_ip: str = ""
    workload: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The IP address to ask: the Service's own, or of a headless one that of a pod, where known."""
        return self.cluster_ip or self.pod_ip

    @property
    def key(self) -> str:
        """``namespace/name``, as kubectl and the logs write it."""
        return f"{self.namespace}/{self.name}"

    def host(self, cluster_domain: str) -> str:
        """The name by which pods reach the Service (Kubernetes: DNS for Services and Pods)."""
        return f"{self.name}.{self.namespace}.svc.{cluster_domain}"

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> Service:
        """Reads a core/v1 Service as JSON or YAML gives it.

        Raises:
            InvalidServiceError: a field is missing or not what the API reference says.
        """
        metadata = _mapping(obj, "metadata")
        spec = _mapping(obj, "spec")
        kind = _text(spec, "spec", "type") or "ClusterIP"
        ports, dropped = _ports(spec.get("ports"))
        return cls(
            namespace=_dns_label(metadata, "namespace", default="default"),
            name=_dns_label(metadata, "name"),
            uid=_text(metadata, "metadata", "uid"),
            type=kind,
            cluster_ip=_cluster_ip(_text(spec, "spec", "clusterIP"), kind),
            labels=_first(_strings(metadata, "metadata", "labels"), MAX_LABELS),
            annotations=_annotations(_strings(metadata, "metadata", "annotations")),
            selector=_first(_strings(spec, "spec", "selector"), MAX_LABELS),
            ports=ports,
            dropped_ports=dropped,
            headless=kind != "ExternalName" and spec.get("clusterIP") == "None",
        )


def _mapping(obj: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = obj.get(key) or {}
    if not isinstance(value, Mapping):
        raise InvalidServiceError(f"{key}: expected a mapping, found {type(value).__name__}")
    return value


def _text(section: Mapping[str, Any], path: str, key: str) -> str:
    value = section.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidServiceError(f"{path}.{key}: expected text, found {value!r:.60}")
    return value


def _dns_label(metadata: Mapping[str, Any], key: str, default: str = "") -> str:
    value = _text(metadata, "metadata", key) or default
    if not _DNS_LABEL.fullmatch(value):
        raise InvalidServiceError(f"metadata.{key}: {value!r:.80} is no DNS label (RFC 1123: a-z, 0-9 and -)")
    return value


def _strings(section: Mapping[str, Any], path: str, key: str) -> dict[str, str]:
    value = section.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidServiceError(f"{path}.{key}: expected a mapping, found {type(value).__name__}")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise InvalidServiceError(
                f"{path}.{key}: {name!r:.80}: {text!r:.40} must be text: put it in quotes"
            )
    return dict(value)


def _first(strings: dict[str, str], limit: int) -> dict[str, str]:
    return dict(islice(strings.items(), limit)) if len(strings) > limit else strings


def _annotations(given: Mapping[str, str]) -> dict[str, str]:
    """Those that mean something here, short enough that 10,000 Services of somebody's fit into memory."""
    ours = {
        key: value[:MAX_ANNOTATION]
        for key, value in given.items()
        if key.startswith(ANNOTATION_PREFIX) or key in SERVING_CERTIFICATE
    }
    return _first(ours, MAX_ANNOTATIONS)


def _cluster_ip(text: str, kind: str) -> str:
    if kind == "ExternalName" or text in {"", "None"}:
        return ""
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise InvalidServiceError(f"spec.clusterIP: {text!r:.60} is no IP address") from error


def _ports(value: Any) -> tuple[tuple[Port, ...], int]:
    if value is None:
        return (), 0
    if not isinstance(value, list):
        raise InvalidServiceError(f"spec.ports: expected a list, found {type(value).__name__}")
    ports = [_port(index, item) for index, item in enumerate(value[:MAX_PORTS])]
    return tuple(port for port in ports if port is not None), max(0, len(value) - MAX_PORTS)


def _port(index: int, item: Any) -> Port | None:
    where = f"spec.ports[{index}]"
    if not isinstance(item, Mapping):
        raise InvalidServiceError(f"{where}: expected a mapping, found {item!r:.60}")
    if item.get("protocol", "TCP") != "TCP":
        return None
    number = item.get("port")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= MAX_PORT_NUMBER:
        raise InvalidServiceError(f"{where}.port: expected a number from 1 to 65535, found {number!r:.60}")
    return Port(
        number=number,
        name=_text(item, where, "name"),
        app_protocol=_text(item, where, "appProtocol"),
        target=str(item.get("targetPort", "")),
    )
