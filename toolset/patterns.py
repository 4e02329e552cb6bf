"""What an operator changes about the catalogue: types switched off, and more ways to recognise one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from toolset.backend import Backend, Exchange, Expectation, PortRef, Recognition
from toolset.catalogue import CUSTOM, Catalogue


@dataclass(frozen=True)
class Pattern:
    """What the operator changes about one type of the catalogue."""

    enabled: bool = True
    """Whether Services of the type are discovered."""
    priority: int = 0
    """Added to the score of its candidates; the highest is asked first."""
    selectors: tuple[Mapping[str, str], ...] = ()
    """Sets of labels; a Service that carries a whole one is of this type."""
    names: tuple[str, ...] = ()
    """Words in a Service's name that make it of this type, besides the catalogue's."""
    ports: tuple[PortRef, ...] = ()
    """Ports, by name or number, to prefer over the catalogue's."""
    health_path: str = ""
    """The request that is answered with 200 while it is healthy; of a new type also its only proof."""


def apply(patterns: Mapping[str, Pattern], catalogue: Catalogue, *, trusted: bool = True) -> Catalogue:
    """The catalogue as somebody wants it: types changed, switched off, and new ones that he described.

    Unless he is ``trusted``, his own types reach HolmesGPT from trusted namespaces only.
    """
    known = [_apply(patterns.get(name, Pattern()), backend) for name, backend in catalogue.items()]
    new = [
        _new(name, pattern, catalogue[CUSTOM], trusted)
        for name, pattern in patterns.items()
        if name not in catalogue and CUSTOM in catalogue and pattern.enabled and pattern.health_path
    ]
    return Catalogue(backend for backend in (*known, *new) if backend is not None)


def _new(name: str, pattern: Pattern, custom: Backend, trusted: bool) -> Backend:
    """A type of somebody's own: like one that an annotation names."""
    health = _health(pattern.health_path)
    return replace(
        custom,
        name=name,
        title=name,
        recognise=Recognition(words=pattern.names, labels=pattern.selectors),
        endpoint=replace(custom.endpoint, ports=pattern.ports or custom.endpoint.ports),
        proofs=((health,),),
        health=health,
        trusted_only=not trusted,
        priority=pattern.priority,
    )


def _health(path: str) -> Exchange:
    return Exchange(get=path, expect=Expectation())


def _apply(pattern: Pattern, backend: Backend) -> Backend | None:
    if not pattern.enabled:
        return None
    if backend.name == CUSTOM:  # it recognises nothing by itself: whoever is meant names a type of his own
        return backend
    recognise = replace(
        backend.recognise,
        words=backend.recognise.words + pattern.names,
        labels=backend.recognise.labels + pattern.selectors,
    )
    endpoint = replace(backend.endpoint, ports=pattern.ports + backend.endpoint.ports)
    health = _health(pattern.health_path) if pattern.health_path else backend.health
    return replace(backend, recognise=recognise, endpoint=endpoint, health=health, priority=pattern.priority)
