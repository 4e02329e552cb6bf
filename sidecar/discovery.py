"""One look at the cluster: from Services to a :class:`~toolset.discovered.Discovery`.

Pure but for the prober that is handed in. What was verified before is remembered here: a proof is
good for ``cache_ttl``, and what fails stays as unhealthy for ``unhealthy_retention``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sidecar.config import Config
from sidecar.prove import Outcome, Prober, Question, Verdict
from sidecar.service_patterns import Catalogues
from toolset.backing import Slice, backed, why_nobody_answers
from toolset.catalogue import Catalogue
from toolset.classify import Candidate, classify
from toolset.discovered import Discovered, Discovery, Skipped, Status
from toolset.grouping import group, instead
from toolset.service import Service

log = logging.getLogger(__name__)

_Result = Discovered | Skipped

Slices = Callable[[Service], list[Slice] | None]
"""Gives the EndpointSlices of a Service; None where they cannot be seen."""

_STATUS = {
    Outcome.VERIFIED: Status.VERIFIED,
    Outcome.NEEDS_CREDENTIALS: Status.NEEDS_CREDENTIALS,
    Outcome.NOT_ASKED: Status.UNPROVEN,
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """The Services that something in the catalogue speaks for; the others are not kept.

    ``candidates`` are those of one Service an installation, the one that a person would configure.
    ``equivalents`` are the candidates of its other Services, the better first, by the key of that one.
    """

    candidates: tuple[tuple[Candidate, ...], ...] = ()
    skipped: tuple[Skipped, ...] = ()
    equivalents: Mapping[str, tuple[tuple[Candidate, ...], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Known:
    """A Service that was verified: when last, and since when it fails (None while it does not)."""

    verdict: Verdict
    proved_at: float
    failing_since: float | None = None


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
        classification = classify(service, catalogues.of(service.namespace), domain)
        if classification.ruled_out:
            skipped[service.key] = Skipped(service.namespace, service.name, classification.ruled_out)
        elif classification.candidates:
            candidates[service.key] = classification.candidates
    groups = {found.chosen[0].service.key: found for found in group(candidates.values())}
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
    return (
        (classify(known, catalogues.of(known.namespace), domain).candidates or these)
        if known.pod_ip
        else these
    )


class Discoverer:
    """Proves what was recognised, and remembers what it proved. Times are seconds of one clock."""

    def __init__(self, prober: Prober, config: Config, slices: Slices = lambda _: None) -> None:
        self._slices = slices
        self._prober = prober
        self._config = config
        self._known: dict[str, _Known] = {}

    def reconfigure(self, prober: Prober, config: Config) -> None:
        """Goes on with another prober and configuration, and with what is known."""
        self._prober, self._config = prober, config

    def discover(self, recognised: Recognised, now: float) -> Discovery:
        """Asks every candidate that has to be asked. Services that are gone are forgotten."""
        self._forget(recognised)
        found = self._ask(recognised.candidates, now)
        wanting = {key: others for key, others in recognised.equivalents.items() if not _settled(found[key])}
        tried = self._ask([others for group in wanting.values() for others in group], now)
        discovered: list[Discovered] = []
        skipped = list(recognised.skipped)
        for key, result in found.items():
            others = [these[0] for these in recognised.equivalents.get(key, ())]
            for entry in _resolve(result, others, tried):
                if isinstance(entry, Discovered):
                    discovered.append(entry)
                else:
                    skipped.append(entry)
        return Discovery(
            tuple(sorted(discovered, key=lambda found: found.service.key)),
            tuple(sorted(skipped, key=lambda skip: (skip.namespace, skip.name))),
        )

    def _ask(self, candidates: Iterable[tuple[Candidate, ...]], now: float) -> dict[str, _Result]:
        """What is to be said of each Service, by its key."""
        results: dict[str, _Result] = {}
        askable: list[tuple[Candidate, ...]] = []
        for these in candidates:
            reason = _unaskable(these[0], self._prober)
            if reason:
                results[these[0].service.key] = _skip(these[0], reason)
            else:
                askable.append(these)
        verdicts = self._prober.ask([self._question(these, now) for these in askable]) if askable else []
        for verdict in verdicts:
            results[verdict.candidate.service.key] = self._decide(verdict, now)
        return results

    def _forget(self, recognised: Recognised) -> None:
        """Keeps what is known of Services that are still there and still the same object."""
        every = (
            *recognised.candidates,
            *(these for group in recognised.equivalents.values() for these in group),
        )
        there = {these[0].service.key: these[0].service.uid for these in every}
        self._known = {
            key: known
            for key, known in self._known.items()
            if there.get(key) == known.verdict.candidate.service.uid
        }

    def _question(self, candidates: tuple[Candidate, ...], now: float) -> Question:
        known = self._known.get(candidates[0].service.key)
        fresh = (
            known is not None
            and known.failing_since is None
            and now - known.proved_at < self._config.cache_ttl.total_seconds()
            and known.verdict.candidate in candidates
        )
        return Question(candidates, known.verdict if known and fresh else None)

    def _proved_at(self, known: _Known | None, verdict: Verdict, now: float) -> float:
        """When the proof was given: a health check alone does not renew it."""
        if known is None or known.failing_since is not None or known.verdict.endpoint != verdict.endpoint:
            return now
        expires = known.proved_at + self._config.cache_ttl.total_seconds()
        return now if now >= expires else known.proved_at

    def _with_credentials(self, verdict: Verdict) -> Discovered:
        """What asks for a login, completed by what the operator bound to it; else with what to bind."""
        candidate = verdict.candidate
        login = candidate.backend.credentials
        binding = self._config.credentials.of(candidate.service.key, candidate.type)
        if binding is not None and (verdict.verify_ssl or binding.insecure_tls):
            found = _discovered(
                verdict, Status.CREDENTIALED, (*verdict.evidence, "credentials are bound to it")
            )
            return replace(found, credentials=binding.values)
        if binding is not None:
            advice = (
                "credentials are bound to it, but nobody vouches for its certificate: say insecure_tls: true"
            )
        elif candidate.backend.tenant and verdict.proof and not candidate.wishes.tenant:
            # It showed itself without a login, and refuses its data.
            advice = "if it tells tenants apart, say which one by kubernaut.io/toolset-tenant"
        elif login is not None:
            values = ", ".join(f'{name}: "{{{{ env.NAME }}}}"' for name in login.needs)
            entry = f"{{service: {candidate.service.key}, type: {candidate.type}, values: {{{values}}}}}"
            advice = f"to complete it, add to credentials.bindings: {entry}"
        else:
            advice = "HolmesGPT has no toolset for it"
        return _discovered(verdict, Status.NEEDS_CREDENTIALS, (*verdict.evidence, advice))

    def _explained(self, verdict: Verdict, reason: str) -> str:
        """With what EndpointSlices say of a Service that nobody answers for; no veto of their own."""
        if verdict.outcome is not Outcome.UNREACHABLE:
            return reason
        slices = self._slices(verdict.candidate.service)
        why = why_nobody_answers(slices) if slices is not None else ""
        return f"{reason}; {why}" if why else reason

    def _decide(self, verdict: Verdict, now: float) -> Discovered | Skipped:
        key = verdict.candidate.service.key
        known = self._known.get(key)
        if verdict.outcome in _STATUS:
            if verdict.outcome is Outcome.VERIFIED:
                self._known[key] = _Known(verdict, self._proved_at(known, verdict, now))
            if verdict.outcome is Outcome.NEEDS_CREDENTIALS:
                return self._with_credentials(verdict)
            return _discovered(verdict, _STATUS[verdict.outcome], verdict.evidence)
        reason = "; ".join(
            (f"looks like {verdict.candidate.backend.title}, but: {verdict.outcome.value}", *verdict.evidence)
        )
        if known is None:
            return _skip(verdict.candidate, self._explained(verdict, reason))
        since = known.failing_since if known.failing_since is not None else now
        self._known[key] = replace(known, failing_since=since)
        if now - since > self._config.unhealthy_retention.total_seconds():
            return _skip(verdict.candidate, f"{reason}; for longer than unhealthy_retention")
        return _discovered(known.verdict, Status.UNHEALTHY, ("verified before", *verdict.evidence))


def _settled(result: _Result) -> bool:
    """Whether the Service that a person would configure is to be used, whatever its equivalents say.

    Where nobody gets in without credentials, the others would ask for them just the same.
    """
    if isinstance(result, Skipped):
        return False
    if result.status is Status.NEEDS_CREDENTIALS:
        return result.backend.login
    return result.status is not Status.UNHEALTHY


def _resolve(first: _Result, others: Sequence[Candidate], tried: Mapping[str, _Result]) -> Iterator[_Result]:
    """One entry for an installation, and for each of its other Services why it is left out."""
    results = [tried[other.service.key] for other in others if other.service.key in tried]
    verified = (it for it in results if isinstance(it, Discovered) and it.status is Status.VERIFIED)
    entry = next(verified, first)
    yield entry
    if not isinstance(entry, Discovered):
        yield from (it for it in results if isinstance(it, Skipped))
        return
    if entry is not first:
        yield _passed_over(first, entry)
    for other in others:
        if other.service.key != entry.service.key:
            yield _skip(other, instead(entry.candidate))


def _passed_over(result: _Result, entry: Discovered) -> Skipped:
    if isinstance(result, Skipped):
        return replace(result, reason=f"{result.reason}; {instead(entry.candidate)}")
    why = "; ".join((result.status.value, *result.evidence[-1:], instead(entry.candidate)))
    return Skipped(result.service.namespace, result.service.name, why)


def _unaskable(candidate: Candidate, prober: Prober) -> str:
    if prober.asks and not candidate.service.address:
        return f"looks like {candidate.backend.title}, but is headless, and no ready endpoint is known to ask"
    return ""


def _skip(candidate: Candidate, reason: str) -> Skipped:
    return Skipped(candidate.service.namespace, candidate.service.name, reason)


def _discovered(verdict: Verdict, status: Status, evidence: tuple[str, ...]) -> Discovered:
    return Discovered(
        verdict.candidate,
        verdict.endpoint,
        status,
        verdict.verify_ssl,
        (*verdict.candidate.evidence, *evidence),
    )
