"""From what was recognised to a :class:`~toolset.discovered.Discovery`: whom to ask, and what answers mean.

Pure: what it says to ask is asked by others, and their answers are handed in. What a Service answered
before is remembered (:mod:`sidecar.memory`). Times are seconds of one clock that is never set back.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from sidecar.config import Config
from sidecar.memory import FAILURES, GOOD, Record, own_fault
from sidecar.prove import Outcome, Prober, Question, Verdict
from sidecar.recognised import Recognised, Slices
from toolset import limits
from toolset.backing import why_nobody_answers
from toolset.classify import Candidate
from toolset.discovered import Discovered, Discovery, Skipped, Status
from toolset.grouping import instead
from toolset.remembered import Remembered

_Result = Discovered | Skipped

_STATUS = {Outcome.VERIFIED: Status.VERIFIED, Outcome.NOT_ASKED: Status.UNPROVEN}

WITNESSES = 3
"""How many others are asked at once when a backend begins to fail, to tell its outage from the network's."""


class Discoverer:
    """Knows what there is to ask, and what is known."""

    def __init__(
        self, config: Config, slices: Slices = lambda _: None, domain: str = "cluster.local"
    ) -> None:
        self.asks = True
        """Whether anything is sent to Services; if so, one needs an address."""
        self._config = config
        self._slices = slices
        self._domain = domain
        self._recognised = Recognised()
        self._records: dict[str, Record] = {}
        self._remembered: Mapping[str, Remembered] = {}

    def reconfigure(self, config: Config, *, asks: bool) -> None:
        """Goes on with another configuration, and with what is known."""
        self._config, self.asks = config, asks

    def remember(self, remembered: Mapping[str, Remembered]) -> None:
        """Takes up what an earlier process had proven, for Services that are seen for the first time."""
        self._remembered = remembered

    def see(self, recognised: Recognised, now: float) -> None:
        """These are there now. What is gone is forgotten; what changed is due to be asked."""
        self._recognised = recognised
        others = (these for group in recognised.equivalents.values() for these in group)
        there = {these[0].service.key: these for these in (*recognised.candidates, *others)}
        records = {}
        for key, these in there.items():
            record = self._records.get(key)
            if record is None or record.candidates[0].service.uid != these[0].service.uid:
                record = self._new(these, now)
            elif record.candidates != these:
                record.candidates, record.asking, record.due_at = these, None, now
            records[key] = record
        self._records = records
        self._remembered = {}

    def _new(self, these: tuple[Candidate, ...], now: float) -> Record:
        record = Record(these, due_at=now)
        before = self._remembered.get(these[0].service.key)
        match = before.match(these, self._domain) if before else None
        if before is None or match is None:
            return record
        login = before.status in {Status.CREDENTIALED, Status.NEEDS_CREDENTIALS}
        outcome = Outcome.NEEDS_CREDENTIALS if login else Outcome.VERIFIED
        evidence = ("verified before this process started",)
        record.good = Verdict(*match, outcome, before.verify_ssl, evidence)
        record.proved_at = -math.inf
        if before.status is Status.UNHEALTHY:
            record.failing_since, record.failures, record.unhealthy = now, FAILURES, True
        return record

    def prompt(self, now: float, keys: Iterable[str] | None = None) -> None:
        """Makes Services due at once: those of ``keys`` that fail, or without ``keys`` all."""
        for record in self._records.values() if keys is None else self._failing(keys):
            record.due_at = min(record.due_at, now)

    def prompt_some(self, now: float, namespaces: Container[str], types: Container[str]) -> None:
        """Makes those of these namespaces and types due at once; none of either means all."""
        for record in self._records.values():
            namespace = record.candidates[0].service.namespace
            if namespaces and namespace not in namespaces:
                continue
            if not types or any(candidate.type in types for candidate in record.candidates):
                record.due_at = min(record.due_at, now)

    def _failing(self, keys: Iterable[str]) -> Iterator[Record]:
        found = (self._records.get(key) for key in keys)
        return (record for record in found if record is not None and record.failing)

    def questions(self, now: float) -> list[Question]:
        """What is to be asked now; each is asked once until its answer is handed in."""
        asked = []
        for record in self._wanted(now):
            if record.asking is None and record.due_at <= now and not self._why_unaskable(record):
                record.asking = record.question(now, self._config)
                asked.append(record.asking)
        return asked

    def next_due(self, now: float) -> float:
        """When there is something to ask again, if nothing changes; infinite if never."""
        waiting = (it.due_at for it in self._wanted(now) if it.asking is None and not self._why_unaskable(it))
        return min(waiting, default=math.inf)

    def learn(self, question: Question, verdict: Verdict, now: float) -> None:
        """Takes the answer to a question; one that was asked of what has changed since is of no use."""
        record = self._records.get(verdict.candidate.service.key)
        if record is None or record.asking is not question:
            return
        failed_before = record.failing
        record.learn(verdict, now, self._config)
        if record.failing and not failed_before and record.good is not None:
            self._call_witnesses(record, now)

    def _call_witnesses(self, failing: Record, now: float) -> None:
        well = [it for it in self._records.values() if it.good is not None and not it.failing]
        for record in sorted(well, key=lambda it: it.heard_at)[-WITNESSES:]:
            if record is not failing:
                record.due_at = min(record.due_at, now)

    def _wanted(self, now: float) -> Iterator[Record]:
        """Of each installation the Service to configure; where that will not do, the others too."""
        for these in self._recognised.candidates:
            key = these[0].service.key
            record = self._records[key]
            yield record
            others = self._recognised.equivalents.get(key, ())
            told = record.verdict is not None or self._why_unaskable(record)
            if others and told and not _settled(self._result(record, now)):
                yield from (self._records[other[0].service.key] for other in others)

    def discover(self, recognised: Recognised, prober: Prober, now: float) -> Discovery:
        """Asks everything there is to ask, waits for the answers, and says what is known."""
        self.asks = prober.asks
        self.see(recognised, now)
        self.prompt(now)
        while questions := self.questions(now):
            for question, verdict in zip(questions, prober.ask(questions), strict=True):
                self.learn(question, verdict, now)
        return self.known(now)

    def known(self, now: float) -> Discovery:
        """What is known now, of all that is there."""
        self._judge(now)
        discovered: list[Discovered] = []
        skipped = list(self._recognised.skipped)
        for these in self._recognised.candidates:
            key = these[0].service.key
            others = [other[0] for other in self._recognised.equivalents.get(key, ())]
            first = self._result(self._records[key], now)
            tried = {} if _settled(first) else self._tried(others, now)
            for entry in _resolve(first, others, tried):
                if isinstance(entry, Discovered):
                    discovered.append(entry)
                else:
                    skipped.append(entry)
        discovery = Discovery(
            tuple(sorted(discovered, key=lambda found: found.service.key)),
            tuple(sorted(skipped, key=lambda skip: (skip.namespace, skip.name))),
        )
        return limits.within(discovery, frozenset(self._config.trusted_namespaces))

    def _tried(self, others: Iterable[Candidate], now: float) -> dict[str, _Result]:
        records = {other.service.key: self._records[other.service.key] for other in others}
        return {key: self._result(it, now) for key, it in records.items() if it.verdict or it.good}

    def _judge(self, now: float) -> None:
        """Calls unhealthy what fails for long enough, and by itself."""
        for record in self._records.values():
            if record.good is not None and record.lasts(now) and own_fault(record, self._records.values()):
                record.unhealthy = True

    def network_down(self, now: float) -> bool:
        """Whether all that was proven fails at once: then it is not the backends that are away."""
        proven = [record for record in self._records.values() if record.good is not None]
        return len(proven) > 1 and all(
            it.lasts(now) and own_fault(it, self._records.values()) is False for it in proven
        )

    def _result(self, record: Record, now: float) -> _Result:
        """What is to be said of one Service."""
        reason = self._why_unaskable(record)
        if reason:
            return _skip(record.candidates[0], reason)
        verdict = record.verdict or record.good
        if verdict is None:
            return _skip(
                record.candidates[0], f"looks like {_title(record.candidates[0])}, has not answered yet"
            )
        if verdict.outcome in GOOD and not record.failing:
            return self._good(verdict)
        return self._bad(record, verdict, now)

    def _good(self, verdict: Verdict) -> Discovered:
        if verdict.outcome is Outcome.NEEDS_CREDENTIALS:
            return self._with_credentials(verdict)
        return _discovered(verdict, _STATUS[verdict.outcome], verdict.evidence)

    def _bad(self, record: Record, verdict: Verdict, now: float) -> _Result:
        good = record.good
        title = _title(verdict.candidate)
        reason = "; ".join((f"looks like {title}, but: {verdict.outcome.value}", *verdict.evidence))
        explained = self._explained(verdict, reason)
        if good is None:
            return _skip(verdict.candidate, explained)
        if record.expired(now, self._config) and own_fault(record, self._records.values()):
            return _skip(verdict.candidate, f"{reason}; for longer than unhealthy_retention")
        if good.outcome is not Outcome.VERIFIED:
            return self._good(replace(good, evidence=(*good.evidence, "does not answer now")))
        if record.unhealthy:
            return _discovered(good, Status.UNHEALTHY, ("verified before", *verdict.evidence))
        return _discovered(good, Status.VERIFIED, (*good.evidence, "did not answer when it was asked last"))

    def _why_unaskable(self, record: Record) -> str:
        candidate = record.candidates[0]
        if self.asks and not candidate.service.address:
            return f"looks like {_title(candidate)}, but is headless, and no ready endpoint is known to ask"
        return ""

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


def _title(candidate: Candidate) -> str:
    return candidate.backend.title


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
