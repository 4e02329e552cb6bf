"""Recognises what a Service may be, from the API server's word alone. Cheap, local, pure.

A Service's own name and the labels that name workloads (Kubernetes: Recommended Labels) are read
word by word. A selector counts like a label, since it says which pods answer. Each backend that
recognises something becomes a candidate with a score and the evidence for it; the network decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Literal

from toolset.annotations import NO_WISHES, AnnotationError, Wishes, read_wishes
from toolset.backend import Backend, EndpointRule, PortRef
from toolset.catalogue import CUSTOM, Catalogue
from toolset.service import Port, Service
from toolset.text import printable
from toolset.yaml_source import parse

Scheme = Literal["http", "https"]

IDENTITY_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "app",
    "k8s-app",
    "component",
    "name",
)
"""Labels that name a workload: the recommended ones, and what charts used before them."""

MARK, NAMED, CALLED, ANNOTATED = 50, 40, 30, 100
"""The worth of: a mark of the product, a label that is its name, a name that holds it, an owner's word."""

EXPECTED_PORT = 10
"""Added when a port is one that the backend's file names."""

MAX_ENDPOINTS = 16
"""Endpoints tried per candidate: ports x schemes x prefixes, the likeliest first."""

_TLS_PORTS = frozenset({443, 8443, 9443, 6443})
_HTTPS = re.compile(r"https|tls", re.IGNORECASE)
_HTTP = re.compile(r"http", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API may be: how to speak, to which port, below which path prefix."""

    scheme: Scheme
    port: int
    path: str = ""

    def url(self, host: str) -> str:
        """The base URL; a scheme's default port is spelled out, so that nobody needs to know it."""
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a Service may be: one backend, the evidence, and the endpoints to try in order."""

    service: Service
    backend: Backend
    type: str
    score: int
    endpoints: tuple[Endpoint, ...]
    evidence: tuple[str, ...] = ()
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class Classification:
    """The candidates of one Service, the likeliest first; or why it has none.

    ``ruled_out`` is empty for Services that nothing in the catalogue speaks of.
    """

    candidates: tuple[Candidate, ...] = ()
    ruled_out: str = ""


@dataclass
class _Match:
    score: int = 0
    evidence: list[str] = field(default_factory=list)

    def add(self, score: int, evidence: str) -> None:
        self.score += score
        self.evidence.append(evidence)


def classify(service: Service, catalogue: Catalogue, cluster_domain: str = "cluster.local") -> Classification:
    """What ``service`` may be."""
    try:
        wishes = read_wishes(service, cluster_domain)
    except AnnotationError as error:
        return Classification(ruled_out=str(error))
    if wishes.enabled is False:
        return Classification(ruled_out="disabled by its annotation kubernaut.io/toolset")
    if wishes.type:
        return _annotated(service, catalogue, wishes)
    candidates, reasons = [], []
    for backend in catalogue.values():
        match = _recognise(service, backend)
        if not match.score:
            continue
        reason = _ruled_out(service, backend)
        if reason:
            reasons.append(f"not {backend.title}: {reason}")
            continue
        candidate = _candidate(service, backend, match, wishes)
        if isinstance(candidate, Candidate):
            candidates.append(candidate)
        else:
            reasons.append(candidate)
    if candidates:
        return Classification(tuple(sorted(candidates, key=lambda c: (-c.score, c.backend.name))))
    if not reasons and wishes.enabled:
        reasons.append(
            "annotated kubernaut.io/toolset, but its type is not recognised: add kubernaut.io/toolset-type"
        )
    return Classification(ruled_out="; ".join(reasons))


def _annotated(service: Service, catalogue: Catalogue, wishes: Wishes) -> Classification:
    """A Service whose owner says what it is: a type of the catalogue, or one of his own."""
    backend = catalogue.get(wishes.type)
    if backend is None or backend.name == CUSTOM:
        if not service.selector:
            return Classification(
                ruled_out=f"type {wishes.type} by annotation, on a Service without a selector"
            )
        if not wishes.health_path:
            return Classification(
                ruled_out=f"type {wishes.type} is not in the catalogue: to use it as a custom type, "
                "say by kubernaut.io/toolset-health-path which path answers when it is healthy"
            )
        backend = catalogue.get(CUSTOM)
        if backend is None:
            return Classification(
                ruled_out=f"type {wishes.type} by annotation, but custom types are switched off"
            )
    match = _Match()
    match.add(ANNOTATED, f"annotation kubernaut.io/toolset-type={wishes.type}")
    candidate = _candidate(service, backend, match, wishes)
    if isinstance(candidate, Candidate):
        return Classification((candidate,))
    return Classification(ruled_out=candidate)


def _candidate(service: Service, backend: Backend, match: _Match, wishes: Wishes) -> Candidate | str:
    """The candidate, or the reason why the Service cannot be asked."""
    if service.type == "ExternalName":
        return f"looks like {backend.title}, but is an ExternalName: it points outside of the cluster"
    if not service.ports:
        return f"looks like {backend.title}, but has no TCP port"
    ports = _ports(service.ports, backend.endpoint)
    if ports and ports[0][1]:
        match.add(EXPECTED_PORT, f"port {_describe(ports[0][0])}")
    if service.dropped_ports:
        match.evidence.append(f"{service.dropped_ports} further ports were not looked at")
    endpoints = _endpoints([port for port, _ in ports], backend.endpoint, wishes)
    if not endpoints:
        return f"looks like {backend.title}, but none of its ports can be its API"
    return Candidate(
        service=service,
        backend=backend,
        type=wishes.type if backend.name == CUSTOM else backend.name,
        score=match.score + backend.priority,
        endpoints=endpoints,
        evidence=tuple(match.evidence),
        wishes=wishes,
    )


def _recognise(service: Service, backend: Backend) -> _Match:
    match = _Match()
    rule = backend.recognise
    for mark in rule.labels:
        if _has(service.labels, mark) or _has(service.selector, mark):
            match.add(MARK, "label " + ", ".join(f"{key}={value}" for key, value in mark.items()))
            break
    for key, value in _identities(service):
        if value in rule.words:
            match.add(NAMED, f"{key}={value}")
            break
    for word in rule.words:
        if _holds(service.name, word) and _selects(service, word):
            match.add(CALLED, f"name {service.name} holds {word}")
            break
        if not match.score and (found := _labelled(service, word)):
            match.add(CALLED, found)
            break
    signature = rule.port_signature
    if (
        not match.score
        and signature
        and all(any(_is(port, ref) for port in service.ports) for ref in signature)
    ):
        match.add(CALLED, "ports " + ", ".join(map(str, signature)))
    return match


def _ruled_out(service: Service, backend: Backend) -> str:
    for mark in backend.recognise.not_labels:
        if _has(service.labels, mark) or _has(service.selector, mark):
            return "label " + ", ".join(f"{key}={value}" for key, value in mark.items())
    texts = [("name", service.name), *_identities(service)]
    for word in backend.recognise.not_words:
        for key, text in texts:
            if _holds(text, word):
                return f"{key} {text} holds {word}"
    for word, why in _common_words().items():
        for key, text in texts:
            if _holds(text, word):
                return f"{key} {text} holds {word}: {why}"
    return ""


@cache
def _common_words() -> Mapping[str, str]:
    text = files("toolset").joinpath("ruled_out.yaml").read_text("utf-8")
    words: dict[str, str] = parse(text).data
    return words


def _identities(service: Service) -> Iterator[tuple[str, str]]:
    """The values that name the workload; the selector first, since it decides who answers."""
    for labels in (service.selector, service.labels):
        for key in IDENTITY_LABELS:
            if key in labels:
                # The API server lets only plain text be a label; a manifest may hold anything.
                yield key, printable(labels[key].lower())


def _selects(service: Service, word: str) -> bool:
    """Whether the selector speaks for ``word``, or names no workload at all.

    Charts put the release's name before everything: a release called "prometheus" has an
    "prometheus-coredns" whose selector tells what it is.
    """
    named = [service.selector[key].lower() for key in IDENTITY_LABELS if key in service.selector]
    return not named or any(_holds(value, word) for value in named)


def _labelled(service: Service, word: str) -> str:
    for key, value in _identities(service):
        if _holds(value, word):
            return f"{key}={value} holds {word}"
    return ""


def _holds(text: str, word: str) -> bool:
    """Whether ``word`` stands in ``text`` between borders: start, end, ``-``, ``_``, ``.`` or ``/``."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if (start == 0 or text[start - 1] in "-_./") and (end == len(text) or text[end] in "-_./"):
            return True
        start = text.find(word, start + 1)
    return False


def _has(labels: Mapping[str, str], mark: Mapping[str, str]) -> bool:
    return all(key in labels and fnmatchcase(labels[key], value) for key, value in mark.items())


def _is(port: Port, ref: PortRef) -> bool:
    return port.number == ref if isinstance(ref, int) else port.name == ref


def _describe(port: Port) -> str:
    return f"{port.name}:{port.number}" if port.name else str(port.number)


def _ports(ports: Sequence[Port], rule: EndpointRule) -> list[tuple[Port, bool]]:
    """The ports that may be the API in order of preference, each with whether the file names it."""
    possible = [port for port in ports if not any(_is(port, ref) for ref in rule.not_ports)]
    named: dict[Port, bool] = {}
    for ref in rule.ports:
        for port in possible:
            if _is(port, ref):
                named.setdefault(port, True)
    for port in possible:
        named.setdefault(port, False)
    return list(named.items())


def _endpoints(ports: Sequence[Port], rule: EndpointRule, wishes: Wishes) -> tuple[Endpoint, ...]:
    address = wishes.address
    if address.port:
        ports = [port for port in ports if port.number == address.port] or [Port(address.port)]
    paths = (address.path,) if address.path or address.port else rule.paths
    endpoints: dict[Endpoint, None] = {}
    for second_choice in (False, True):
        for port in ports:
            schemes = _schemes(port)
            if address.scheme in schemes:
                schemes = (address.scheme,)
            for scheme in schemes[1:] if second_choice else schemes[:1]:
                for path in paths:
                    endpoints.setdefault(Endpoint(scheme, port.number, path))
    return tuple(endpoints)[:MAX_ENDPOINTS]


def _schemes(port: Port) -> tuple[Scheme, ...]:
    """How a port is to be spoken to, the likelier first (Kubernetes: Service appProtocol, port names)."""
    said = port.app_protocol or port.name
    if _HTTPS.search(said) or (port.number in _TLS_PORTS and not _HTTP.search(said)):
        return ("https", "http")
    return ("http", "https")
