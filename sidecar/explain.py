"""Tells of one Service every step from what it says to what HolmesGPT gets of it, or why it gets nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sidecar.config import Config
from sidecar.discovery import Discoverer
from sidecar.prove import Prober, Question, Verdict
from sidecar.recognised import Recognised, Slices, recognise
from sidecar.service_patterns import Catalogues
from toolset import render
from toolset.backing import why_nobody_answers
from toolset.classify import Candidate, classify
from toolset.discovered import Discovered, Discovery
from toolset.endpoints import describe
from toolset.service import Service
from toolset.text import printable


class UnknownServiceError(Exception):
    """There is no such Service among those that were seen."""


@dataclass(frozen=True)
class Setting:
    """What an explanation is made with: the same as a pass."""

    catalogues: Catalogues
    config: Config
    rendering: render.Settings
    prober: Prober
    slices: Slices = lambda _: None


class _Witness:
    """Asks as the prober it stands for does, and keeps what was asked."""

    def __init__(self, prober: Prober) -> None:
        self.asks = prober.asks
        self.verdicts: list[Verdict] = []
        self._prober = prober

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        verdicts = self._prober.ask(questions)
        self.verdicts += verdicts
        return verdicts


def explain(key: str, services: Iterable[Service], setting: Setting) -> str:
    """The explanation of the Service ``namespace/name``, as text.

    Its neighbours are asked too where it is not the one of its installation to configure.

    Raises:
        UnknownServiceError: it is not among ``services``.
    """
    seen = list(services)
    service = next((one for one in seen if one.key == key), None)
    if service is None:
        raise UnknownServiceError(f"no Service {key}; {len(seen)} were seen")
    domain = setting.rendering.cluster_domain
    recognised = recognise(seen, setting.catalogues, setting.config, domain, setting.slices)
    recognised = _of(key, recognised)
    witness = _Witness(setting.prober)
    discovery = Discoverer(setting.config, setting.slices, domain).discover(recognised, witness, 0.0)
    lines = [
        *_what_it_says(service),
        *_what_it_may_be(service, setting),
        *_its_installation(key, recognised),
        *_what_was_asked(witness.verdicts, setting),
        *_what_comes_of_it(key, discovery, setting),
        *_what_stands_behind(service, setting),
    ]
    return "\n".join(printable(line, 2000) for line in lines) + "\n"


def _of(key: str, recognised: Recognised) -> Recognised:
    """The part of what was recognised that concerns one Service's installation."""
    for these in recognised.candidates:
        first = these[0].service.key
        others = recognised.equivalents.get(first, ())
        if key in {first, *(other[0].service.key for other in others)}:
            return Recognised((these,), (), {first: others} if others else {})
    return Recognised((), tuple(s for s in recognised.skipped if f"{s.namespace}/{s.name}" == key))


def _what_it_says(service: Service) -> Iterator[str]:
    ports = ", ".join(map(describe, service.ports)) or "none"
    yield f"Service {service.key}"
    yield f"  type {service.type}, address {service.address or 'none'}, TCP ports {ports}"
    for title, labels in (("labels", service.labels), ("selector", service.selector)):
        yield f"  {title}: " + (", ".join(f"{k}={v}" for k, v in sorted(labels.items())) or "none")
    for name, value in sorted(service.annotations.items()):
        yield f"  annotation {name}={value}"


def _what_it_may_be(service: Service, setting: Setting) -> Iterator[str]:
    yield "Recognised"
    if not setting.config.watches(service.namespace):
        yield f"  namespace {service.namespace} is not watched: see namespaces and exclude_namespaces"
        return
    found = classify(service, setting.catalogues.of(service), setting.rendering.cluster_domain)
    for candidate in found.candidates:
        yield f"  {candidate.type}, score {candidate.score}: {'; '.join(candidate.evidence)}"
        yield f"    to try: {', '.join(_endpoints(candidate))}"
    if not found.candidates:
        yield f"  {found.ruled_out or 'nothing in the catalogue speaks of it; kubernaut.io/toolset-type can'}"


def _endpoints(candidate: Candidate) -> Iterator[str]:
    for endpoint in candidate.endpoints:
        yield f"{endpoint.scheme}:{endpoint.port}{endpoint.path}"


def _its_installation(key: str, recognised: Recognised) -> Iterator[str]:
    for these in recognised.candidates:
        first = these[0].service.key
        others = [other[0].service.key for other in recognised.equivalents.get(first, ())]
        if not others:
            continue
        yield "One installation"
        yield f"  {first} is the Service to configure" + (" (this one)" if first == key else "")
        yield f"  beside it: {', '.join(others)}"


def _what_was_asked(verdicts: Iterable[Verdict], setting: Setting) -> Iterator[str]:
    yield "Asked"
    verdicts = list(verdicts)
    if not setting.prober.asks or not verdicts:
        yield "  nobody"
    for verdict in verdicts if setting.prober.asks else ():
        service = verdict.candidate.service
        yield f"  {service.key} at {service.address}"
        yield from (f"    {line}" for line in verdict.trace)
        yield f"    so: {verdict.candidate.backend.title}, {verdict.outcome.value}"


def _what_comes_of_it(key: str, discovery: Discovery, setting: Setting) -> Iterator[str]:
    yield "Result"
    found = next((one for one in discovery.discovered if one.service.key == key), None)
    if found is None:
        reasons = [s.reason for s in discovery.skipped if f"{s.namespace}/{s.name}" == key]
        yield f"  left out: {'; '.join(reasons) or 'nothing speaks for it'}"
        return
    yield f"  {found.status.value}: {found.type} at {render.url_of(found, setting.rendering)}"
    yield from (f"    {line}" for line in found.evidence)
    yield "HolmesGPT"
    yield from _what_holmesgpt_gets(found, setting)


def _what_holmesgpt_gets(found: Discovered, setting: Setting) -> Iterator[str]:
    document = render.toolset_document([found], setting.rendering)
    if document["toolsets"]:
        if setting.rendering.one_instance:
            yield "  in this version one instance of each toolset: trusted namespaces first, then by name"
        text = render.toolset_yaml(document)
        yield from (f"  {line}" for line in text.splitlines() if not line.startswith("#"))
    else:
        yield f"  nothing: {render.why_not_rendered(found, setting.rendering)}"


def _what_stands_behind(service: Service, setting: Setting) -> Iterator[str]:
    slices = setting.slices(service)
    why = why_nobody_answers(slices) if slices is not None else ""
    if why:
        yield f"  {why}: see kubectl get endpointslices -n {service.namespace}"
