"""What an operator changes about the catalogue: types switched off, and more ways to recognise one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from toolset.backend import Backend, PortRef
from toolset.catalogue import Catalogue


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


def apply(patterns: Mapping[str, Pattern], catalogue: Catalogue) -> Catalogue:
    """The catalogue as the operator wants it; patterns of unknown types have no effect."""
    backends = (_apply(patterns.get(name, Pattern()), backend) for name, backend in catalogue.items())
    return Catalogue(backend for backend in backends if backend is not None)


def _apply(pattern: Pattern, backend: Backend) -> Backend | None:
    if not pattern.enabled:
        return None
    recognise = replace(
        backend.recognise,
        words=backend.recognise.words + pattern.names,
        labels=backend.recognise.labels + pattern.selectors,
    )
    endpoint = replace(backend.endpoint, ports=pattern.ports + backend.endpoint.ports)
    return replace(backend, recognise=recognise, endpoint=endpoint, priority=pattern.priority)
