"""One look at the cluster: from Services to a :class:`~toolset.discovered.Discovery`.

Pure but for the prober that is handed in. What was verified before is remembered here: a proof is
good for ``cache_ttl``, and what fails stays as unhealthy for ``unhealthy_retention``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sidecar.config import Config
from sidecar.prove import Outcome, Prober, Question, Verdict
from toolset.catalogue import Catalogue
from toolset.classify import Candidate, classify
from toolset.discovered import Discovered, Discovery, Skipped, Status
from toolset.service import Service

log = logging.getLogger(__name__)

_STATUS = {
    Outcome.VERIFIED: Status.VERIFIED,
    Outcome.NEEDS_CREDENTIALS: Status.NEEDS_CREDENTIALS,
    Outcome.NOT_ASKED: Status.UNPROVEN,
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """The Services that something in the catalogue speaks for; the others are not kept."""

    candidates: tuple[tuple[Candidate, ...], ...] = ()
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """A Service that was verified: when last, and since when it fails (None while it does not)."""

    verdict: Verdict
    proved_at: float
    failing_since: float | None = None


def recognise(services: Iterable[Service], catalogue: Catalogue, config: Config, domain: str) -> Recognised:
    """Classifies every Service in the watched namespaces, one at a time."""
    candidates: dict[str, tuple[Candidate, ...]] = {}
    skipped: dict[str, Skipped] = {}
    for service in services:
        if not config.watches(service.namespace):
            continue
        classification = classify(service, catalogue, domain)
        if classification.ruled_out:
            skipped[service.key] = Skipped(service.namespace, service.name, classification.ruled_out)
        elif classification.candidates:
            candidates[service.key] = classification.candidates
    return Recognised(
        tuple(candidates[key] for key in sorted(candidates)), tuple(skipped[key] for key in sorted(skipped))
    )


class Discoverer:
    """Proves what was recognised, and remembers what it proved. Times are seconds of one clock."""

    def __init__(self, prober: Prober, config: Config) -> None:
        self._prober = prober
        self._config = config
        self._known: dict[str, _Known] = {}

    def reconfigure(self, prober: Prober, config: Config) -> None:
        """Goes on with another prober and configuration, and with what is known."""
        self._prober, self._config = prober, config

    def discover(self, recognised: Recognised, now: float) -> Discovery:
        """Asks every candidate that has to be asked. Services that are gone are forgotten."""
        askable: list[tuple[Candidate, ...]] = []
        skipped = list(recognised.skipped)
        for candidates in recognised.candidates:
            reason = _unaskable(candidates[0], self._prober)
            if reason:
                skipped.append(_skip(candidates[0], reason))
            else:
                askable.append(candidates)
        self._forget(askable)
        verdicts = self._prober.ask([self._question(candidates, now) for candidates in askable])
        discovered = []
        for verdict in verdicts:
            found = self._decide(verdict, now)
            if isinstance(found, Discovered):
                discovered.append(found)
            else:
                skipped.append(found)
        return Discovery(
            tuple(sorted(discovered, key=lambda found: found.service.key)),
            tuple(sorted(skipped, key=lambda skip: (skip.namespace, skip.name))),
        )

    def _forget(self, askable: Sequence[Sequence[Candidate]]) -> None:
        """Keeps what is known of Services that are still there and still the same object."""
        there = {candidates[0].service.key: candidates[0].service.uid for candidates in askable}
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

    def _decide(self, verdict: Verdict, now: float) -> Discovered | Skipped:
        key = verdict.candidate.service.key
        known = self._known.get(key)
        if verdict.outcome in _STATUS:
            if verdict.outcome is Outcome.VERIFIED:
                self._known[key] = _Known(verdict, self._proved_at(known, verdict, now))
            return _discovered(verdict, _STATUS[verdict.outcome], verdict.evidence)
        reason = "; ".join(
            (f"looks like {verdict.candidate.backend.title}, but: {verdict.outcome.value}", *verdict.evidence)
        )
        if known is None:
            return _skip(verdict.candidate, reason)
        since = known.failing_since if known.failing_since is not None else now
        self._known[key] = replace(known, failing_since=since)
        if now - since > self._config.unhealthy_retention.total_seconds():
            return _skip(verdict.candidate, f"{reason}; for longer than unhealthy_retention")
        return _discovered(known.verdict, Status.UNHEALTHY, ("verified before", *verdict.evidence))


def _unaskable(candidate: Candidate, prober: Prober) -> str:
    if prober.asks and not candidate.service.cluster_ip:
        return f"looks like {candidate.backend.title}, but is headless: it has no ClusterIP to ask"
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
