"""How much one namespace, and all together, may put before HolmesGPT. Pure; whatever is left out is told.

Whoever may create a Service could create thousands. Without limits theirs would fill the ConfigMap, which
holds 1 MiB, and use up the time in which HolmesGPT checks all toolsets, and everybody's would be lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from toolset.backend import ToolsetRule
from toolset.classify import Candidate
from toolset.discovered import USABLE, Discovered, Discovery, Skipped

MAX_SERVICES = 250
"""Services of one namespace that are asked what they are; the likeliest first."""

MAX_PER_NAMESPACE = 100
"""Services of one namespace that are discovered."""

MAX_PER_TOOLSET = 6
"""Instances of one namespace in a toolset that it shares with others.

HolmesGPT checks them one after another and has 20 s for all; each that takes longer than
:data:`sidecar.memory.SLOW_SECONDS` is failing, so that those of one namespace cannot use them up.
"""

MAX_IN_ALL = 500
"""Services that are discovered in all: with the longest names they fit into a ConfigMap."""

_CURE = "add its namespace to trusted_namespaces if it should have more"


def to_ask(
    candidates: Mapping[str, tuple[Candidate, ...]], trusted: frozenset[str]
) -> tuple[list[tuple[Candidate, ...]], list[Skipped]]:
    """Whom to ask: of an untrusted namespace at most :data:`MAX_SERVICES`. By the key of the Service."""
    counts: Counter[str] = Counter()
    asked, left_out = [], []
    for these in sorted(candidates.values(), key=lambda these: (-these[0].score, these[0].service.key)):
        service = these[0].service
        counts[service.namespace] += 1
        if counts[service.namespace] <= MAX_SERVICES or service.namespace in trusted:
            asked.append(these)
        else:
            reason = f"{service.namespace} has more than {MAX_SERVICES} Services to ask: {_CURE}"
            left_out.append(Skipped(service.namespace, service.name, reason, limited=True))
    return asked, left_out


def within(discovery: Discovery, trusted: frozenset[str]) -> Discovery:
    """What of it is published; the rest is left out with the reason. The order stays."""
    reasons: dict[str, str] = {}
    counts: Counter[str] = Counter()
    shared: Counter[tuple[str, str]] = Counter()
    kept = []
    for found in discovery.discovered:
        namespace = found.service.namespace
        toolsets = [(namespace, rule.name) for rule in _shared(found)]
        if namespace not in trusted and counts[namespace] >= MAX_PER_NAMESPACE:
            reasons[found.service.key] = f"{namespace} has more than {MAX_PER_NAMESPACE} backends: {_CURE}"
        elif namespace not in trusted and any(shared[each] >= MAX_PER_TOOLSET for each in toolsets):
            reasons[found.service.key] = (
                f"{namespace} has more than {MAX_PER_TOOLSET} instances of one toolset: {_CURE}"
            )
        else:
            counts[namespace] += 1
            shared.update(toolsets)
            kept.append(found)
    for found in _fairly(kept, trusted)[MAX_IN_ALL:]:
        reasons[found.service.key] = (
            f"there are more than {MAX_IN_ALL} backends: limit service_discovery.namespaces"
        )
    return _without(discovery, reasons) if reasons else discovery


def _shared(found: Discovered) -> list[ToolsetRule]:
    return [rule for rule in found.toolsets if rule.many != "separate"] if found.status in USABLE else []


def _fairly(found: Sequence[Discovered], trusted: frozenset[str]) -> list[Discovered]:
    """Trusted namespaces first, then the first of each namespace, the second of each, and so on."""
    place: Counter[str] = Counter()
    ranked = []
    for one in found:
        namespace = one.service.namespace
        ranked.append((namespace not in trusted, place[namespace], one.service.key, one))
        place[namespace] += 1
    return [one for *_, one in sorted(ranked, key=lambda it: it[:3])]


def _without(discovery: Discovery, reasons: Mapping[str, str]) -> Discovery:
    left_out = [
        Skipped(found.service.namespace, found.service.name, reasons[found.service.key], limited=True)
        for found in discovery.discovered
        if found.service.key in reasons
    ]
    kept = tuple(found for found in discovery.discovered if found.service.key not in reasons)
    skipped: Iterable[Skipped] = (*discovery.skipped, *left_out)
    return Discovery(kept, tuple(sorted(skipped, key=lambda skip: (skip.namespace, skip.name))))
