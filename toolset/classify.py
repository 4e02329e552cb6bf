"""Recognises what a Service may be, from the API server's word alone. Cheap, local, pure.

:mod:`toolset.recognise` says which backends anything speaks for, :mod:`toolset.endpoints` where their
APIs may be. Each becomes a candidate with a score and the evidence for it; the network decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolset import endpoints
from toolset.annotations import NO_WISHES, AnnotationError, Wishes, read_wishes
from toolset.backend import Backend, Scheme
from toolset.catalogue import CUSTOM, Catalogue, bundled
from toolset.endpoints import Endpoint
from toolset.recognise import Match
from toolset.service import Service

__all__ = ["Candidate", "Classification", "Endpoint", "Scheme", "classify"]

ANNOTATED = 100
"""The worth of an owner's word."""

EXPECTED_PORT = 10
"""Added when a port is telling for the product."""


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
    found, reasons = [], []
    for match in catalogue.index.matches(service):
        if match.ruled_out:
            reasons.append(f"not {match.backend.title}: {match.ruled_out}")
            continue
        candidate = _candidate(service, match, wishes, catalogue.index.foreign_ports)
        if isinstance(candidate, Candidate):
            found.append(candidate)
        else:
            reasons.append(candidate)
    if found:
        return Classification(tuple(sorted(found, key=lambda c: (-c.score, c.backend.name))))
    if not reasons and wishes.enabled:
        reasons.append(
            "annotated kubernaut.io/toolset, but its type is not recognised: add kubernaut.io/toolset-type"
        )
    return Classification(ruled_out="; ".join(sorted(reasons)))


def _annotated(service: Service, catalogue: Catalogue, wishes: Wishes) -> Classification:
    """A Service whose owner says what it is: a type of the catalogue, or one of his own."""
    backend = catalogue.get(wishes.type)
    if backend is None and wishes.type in bundled():
        return Classification(ruled_out=f"type {wishes.type} is switched off by service_patterns")
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
    match = Match(backend)
    match.add(ANNOTATED, f"annotation kubernaut.io/toolset-type={wishes.type}")
    candidate = _candidate(service, match, wishes)
    if isinstance(candidate, Candidate):
        return Classification((candidate,))
    return Classification(ruled_out=candidate)


def _candidate(
    service: Service, match: Match, wishes: Wishes, foreign: frozenset[int] = frozenset()
) -> Candidate | str:
    """The candidate, or the reason why the Service cannot be asked."""
    backend = match.backend
    if service.type == "ExternalName":
        return f"looks like {backend.title}, but is an ExternalName: it points outside of the cluster"
    if not service.ports:
        return f"looks like {backend.title}, but has no TCP port"
    port = endpoints.expected(service.ports, backend.endpoint)
    if port is not None:
        match.add(EXPECTED_PORT, f"port {endpoints.describe(port)}")
    if service.dropped_ports:
        match.evidence.append(f"{service.dropped_ports} further ports were not looked at")
    found = endpoints.candidates(service, backend.endpoint, wishes.address, foreign)
    if not found:
        return f"looks like {backend.title}, but none of its ports can be its API"
    return Candidate(
        service=service,
        backend=backend,
        type=wishes.type if backend.name == CUSTOM else backend.name,
        score=match.score + backend.priority,
        endpoints=found,
        evidence=tuple(match.evidence),
        wishes=wishes,
    )
