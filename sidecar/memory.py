"""What is known of one Service over time: when it answered, since when it fails, when to ask again.

Pure: every time is handed in, in seconds of one clock that is never set back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sidecar.config import Config
from sidecar.prove import Outcome, Question, Verdict
from toolset.classify import Candidate

RETRY_SECONDS = (1.0, 60.0)
"""What failed is asked again after so long: doubled with each failure, up to the second."""

FAILURES = 3
"""So often in a row a proven backend must fail before it is called unhealthy: one lost packet is none."""

DAMPING_SECONDS = (2.0, 60.0)
"""And for so long: doubled each time it was unhealthy lately. Flapping rewrites no file at each blink."""

CALM_SECONDS = 600.0
"""What was healthy for so long is not flapping any more."""

AT_ONCE_SECONDS = 30.0
"""Backends that began to fail within so long of each other failed at once."""

SLOW_SECONDS = 3.0
"""What takes longer than that to answer its check fails, once it was proven: HolmesGPT has 20 s for all."""

GOOD = frozenset({Outcome.VERIFIED, Outcome.NEEDS_CREDENTIALS, Outcome.NOT_ASKED})
"""Outcomes that say what a Service is."""


@dataclass(slots=True)
class Record:
    """What is known of one Service."""

    candidates: tuple[Candidate, ...]
    """What it may be, when it was asked last."""
    due_at: float = 0.0
    """When it is to be asked next."""
    asking: Question | None = None
    """What it is being asked."""
    verdict: Verdict | None = None
    """The last answer; None before the first."""
    good: Verdict | None = None
    """The last answer that said what it is."""
    proved_at: float = 0.0
    """When it gave the proof: a health check alone does not renew it."""
    heard_at: float = float("-inf")
    """When anything was heard from it last, were it a refusal."""
    failing_since: float | None = None
    failures: int = 0
    unhealthy: bool = False
    flaps: int = 0
    healthy_since: float = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last answer was none that it should give."""
        return self.failing_since is not None

    def question(self, now: float, config: Config) -> Question:
        """What to ask it: its health while the proof is good, else the proof."""
        good = self.good
        fresh = (
            good is not None
            and good.outcome is Outcome.VERIFIED
            and not self.failing
            and now - self.proved_at < config.cache_ttl.total_seconds()
            and good.candidate in self.candidates
        )
        return Question(self.candidates, good if fresh else None)

    def learn(self, verdict: Verdict, now: float, config: Config) -> None:
        """Takes an answer."""
        self.asking = None
        if self.good is not None and verdict.outcome in GOOD and verdict.seconds > SLOW_SECONDS:
            said = f"answered its check after {verdict.seconds:.1f} s, more than {SLOW_SECONDS:g} s"
            verdict = replace(verdict, outcome=Outcome.NOT_SERVING, evidence=(said,))
        if verdict.outcome is not Outcome.UNREACHABLE:
            self.heard_at = now
        if verdict.outcome in GOOD:
            self._succeeded(verdict, now, config)
        else:
            self._failed(now, config)
        self.verdict = verdict

    def _succeeded(self, verdict: Verdict, now: float, config: Config) -> None:
        same = self.good is not None and not self.failing and self.good.endpoint == verdict.endpoint
        if not same or now >= self.proved_at + config.cache_ttl.total_seconds():
            self.proved_at = now
        if self.unhealthy:
            self.flaps += 1
            self.healthy_since = now
        elif now - self.healthy_since > CALM_SECONDS:
            self.flaps = 0
        self.good, self.failing_since, self.failures, self.unhealthy = verdict, None, 0, False
        self.due_at = now + config.health_check_interval.total_seconds()

    def _failed(self, now: float, config: Config) -> None:
        self.failing_since = now if self.failing_since is None else self.failing_since
        first, longest = RETRY_SECONDS
        if self.good is not None:
            longest = min(longest, max(first, config.health_check_interval.total_seconds()))
        self.due_at = now + min(longest, first * 2 ** min(self.failures, 30))
        self.failures += 1

    def lasts(self, now: float) -> bool:
        """Whether it fails often and long enough to be called unhealthy."""
        first, longest = DAMPING_SECONDS
        damping = min(longest, first * 2 ** min(self.flaps, 30))
        return self.failing_since is not None and (
            self.failures >= FAILURES and now - self.failing_since >= damping
        )

    def expired(self, now: float, config: Config) -> bool:
        """Whether it fails for longer than what was proven once is kept."""
        retention = config.unhealthy_retention.total_seconds()
        return self.failing_since is not None and now - self.failing_since > retention


def own_fault(record: Record, others: Iterable[Record]) -> bool | None:
    """Whether a failure is the backend's own, and not that of the network between it and us.

    A network that is gone answers nobody: what answers, if only with nonsense, fails by itself; and so does
    what fails while another is heard. Returns None as long as that is not known: none was heard since, and
    not all were asked.
    """
    since = record.failing_since
    if since is None or (record.verdict and record.verdict.outcome is not Outcome.UNREACHABLE):
        return True
    peers = [it for it in others if it is not record and it.good is not None and _was_well(it, since)]
    if not peers or any(peer.heard_at >= since for peer in peers):
        return True
    return False if all(peer.failing for peer in peers) else None


def _was_well(record: Record, when: float) -> bool:
    """Whether it was healthy shortly before: what fails for long says nothing of the network."""
    return record.failing_since is None or record.failing_since > when - AT_ONCE_SECONDS
