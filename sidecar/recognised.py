"""What of a cluster's Services is worth asking: classified, and one entry an installation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sidecar.config import Config
from sidecar.service_patterns import Catalogues
from toolset import limits
from toolset.backing import Slice, backed
from toolset.catalogue import Catalogue
from toolset.classify import Candidate, classify
from toolset.discovered import Skipped
from toolset.grouping import group
from toolset.service import Service

Slices = Callable[[Service], list[Slice] | None]
"""Gives the EndpointSlices of a Service; None where they cannot be seen."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """The Services that something in the catalogue speaks for; the others are not kept.

    ``candidates`` are those of one Service an installation, the one that a person would configure.
    ``equivalents`` are the candidates of its other Services, the better first, by the key of that one.
    """

    candidates: tuple[tuple[Candidate, ...], ...] = ()
    skipped: tuple[Skipped, ...] = ()
    equivalents: Mapping[str, tuple[tuple[Candidate, ...], ...]] = field(default_factory=dict)


def recognise(
    services: Iterable[Service],
    catalogues: Catalogue | Catalogues,
    config: Config,
    domain: str,
    slices: Slices = lambda _: None,
) -> Recognised:
    """Classifies every Service in the watched namespaces, and finds those that front the same thing.

    ``slices`` are asked for a headless Service only where it is the one to configure.
    """
    candidates: dict[str, tuple[Candidate, ...]] = {}
    skipped: dict[str, Skipped] = {}
    for service in services:
        if not config.watches(service.namespace):
            continue
        classification = classify(service, catalogues.of(service), domain)
        if classification.ruled_out:
            skipped[service.key] = Skipped(service.namespace, service.name, classification.ruled_out)
        elif classification.candidates:
            candidates[service.key] = classification.candidates
    asked, left_out = limits.to_ask(candidates, frozenset(config.trusted_namespaces))
    skipped |= {f"{skip.namespace}/{skip.name}": skip for skip in left_out}
    groups = {found.chosen[0].service.key: found for found in group(asked)}
    for found in groups.values():
        found.chosen = _with_address(found.chosen, catalogues, domain, slices)
    return Recognised(
        tuple(groups[key].chosen for key in sorted(groups)),
        tuple(skipped[key] for key in sorted(skipped)),
        {key: tuple(found.others) for key, found in sorted(groups.items()) if found.others},
    )


def _with_address(
    these: tuple[Candidate, ...], catalogues: Catalogue | Catalogues, domain: str, slices: Slices
) -> tuple[Candidate, ...]:
    """A headless Service is recognised once more with the address and ports of one of its pods."""
    service = these[0].service
    if not service.headless:
        return these
    known = backed(service, slices(service) or ())
    return (classify(known, catalogues.of(known), domain).candidates or these) if known.pod_ip else these
