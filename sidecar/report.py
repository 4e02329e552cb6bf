"""What became of the passes: for the web to read, and told by the log and the metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sidecar.metrics import FAILED, SUCCESS, Metrics
from toolset.discovered import Discovered, Discovery

log = logging.getLogger(__name__)

REPEAT_SECONDS = 60.0
"""A pass that fails for the same reason as before is logged again after so long."""


KEPT_PASSES = 20
"""Passes of which it is remembered what became of them."""


@dataclass(frozen=True)
class PastPass:
    """What became of one pass, or of several in a row that failed for the same reason."""

    ended_at: float
    """Unix time; of several that of the last."""
    seconds: float = 0.0
    discovered: int = 0
    left_out: int = 0
    unanswered: int = 0
    """Services that had not answered yet when it ended."""
    failures: tuple[str, ...] = ()
    times: int = 1


@dataclass(frozen=True)
class Report:
    """The result of the last pass; replaced whole, never changed in place."""

    discovery: Discovery = field(default_factory=Discovery)
    failures: tuple[str, ...] = ()
    seen_at: float | None = None
    """When a pass saw the cluster last, by the monotonic clock."""
    network_down: bool = False
    """Whether all backends fail at once, so that none is called unhealthy."""
    passes: tuple[PastPass, ...] = ()
    """The last ones, the newest first."""
    since: Mapping[str, float] = field(default_factory=dict)
    """Since when this process sees each Service (``namespace/name``) as it is: Unix time."""
    changed_at: float = 0.0
    """When anything about the discovery changed last: Unix time."""


@dataclass(frozen=True)
class Passed:
    """What one pass came to."""

    discovery: Discovery
    failures: tuple[str, ...]
    seconds: float
    unanswered: int = 0
    stale: bool = False
    """Whether the cluster could not be seen, so that it went by what was seen before."""


class Teller:
    """Keeps the report."""

    def __init__(self, metrics: Metrics) -> None:
        self.report = Report()
        self._metrics = metrics
        self._told: tuple[str, float] = "", 0.0

    def failed(self, reason: str) -> None:
        """A pass could not see what there is."""
        self._metrics.services_discovered.labels(FAILED).inc()
        self.report = replace(self.report, failures=(reason,), passes=self._with(failures=(reason,)))
        told, when = self._told
        now = time.monotonic()
        if reason != told or now - when > REPEAT_SECONDS:
            log.error("Service discovery failed: %s; what was published last stays", reason)
            self._told = reason, now

    def passed(self, it: Passed, where: str) -> None:
        """A pass ended; ``where`` is what it looked at."""
        seen_at = self.report.seen_at if it.stale else time.monotonic()
        previous = self.report
        count = len(it.discovery.discovered)
        passes = self._with(it.failures, it.seconds, count, len(it.discovery.skipped), it.unanswered)
        self.report = replace(
            previous, discovery=it.discovery, failures=it.failures, seen_at=seen_at, passes=passes
        )
        self._metrics.services_discovered.labels(SUCCESS).inc(count)
        self._metrics.discovery_duration.observe(it.seconds)
        self._changed(previous.discovery)
        if not it.failures:
            self._metrics.last_success.set_to_current_time()
        if count:
            log.info("discovered %d services in %s", count, where)
        else:
            log.warning("No services discovered in %s", where)
        log.info(
            "discovery completed in %.2f s: %d discovered, %d left out, %d still to answer, %d failures",
            it.seconds,
            count,
            len(it.discovery.skipped),
            it.unanswered,
            len(it.failures),
        )

    def news(self, discovery: Discovery, failures: tuple[str, ...]) -> None:
        """Answers came between passes. Who is new counts at once: the next pass may be minutes away."""
        previous = self.report
        self.report = replace(previous, discovery=discovery, failures=failures)
        self._changed(previous.discovery)
        was, is_now = _statuses(previous.discovery).keys(), _statuses(discovery).keys()
        self._metrics.services_discovered.labels(SUCCESS).inc(len(is_now - was))
        if was != is_now:
            log.info("discovered %d services: answers came after the pass", len(is_now))

    def network(self, *, down: bool) -> None:
        """Whether all backends fail at once."""
        if down and not self.report.network_down:
            log.error("all backends fail at once: is it our own network? What is published is left as it is")
        elif self.report.network_down and not down:
            log.info("backends answer again")
        self.report = replace(self.report, network_down=down)
        self._metrics.network_down.set(down)

    def _with(
        self,
        failures: tuple[str, ...] = (),
        seconds: float = 0.0,
        discovered: int = 0,
        left_out: int = 0,
        unanswered: int = 0,
    ) -> tuple[PastPass, ...]:
        """The past passes and one more."""
        passes = self.report.passes
        new = PastPass(time.time(), seconds, discovered, left_out, unanswered, failures)
        if failures and passes and passes[0].failures == failures:
            # Many that fail alike must not push those out that did not.
            new, passes = replace(new, times=passes[0].times + 1), passes[1:]
        return (new, *passes)[:KEPT_PASSES]

    def _changed(self, before: Discovery) -> None:
        """The gauges, and one line for each Service that came, changed or went."""
        now = self.report.discovery
        self._limited(before)
        self._metrics.services.clear()
        for found in now.discovered:
            self._metrics.count_service(found.type, found.status.value)
        was, is_now = _statuses(before), _statuses(now)
        moment = time.time()
        if now != before:
            since = {
                key: self.report.since.get(key, moment) if was.get(key) == status else moment
                for key, status in is_now.items()
            }
            self.report = replace(self.report, since=since, changed_at=moment)
        reasons = {f"{skip.namespace}/{skip.name}": skip.reason for skip in now.skipped}
        for key in sorted(was.keys() | is_now.keys()):
            if key not in is_now:
                log.info("service %s left out: %s", key, reasons.get(key, "it is gone"))
            elif was.get(key) != is_now[key]:
                log.info("service %s is %s", key, is_now[key])

    def _limited(self, before: Discovery) -> None:
        """One line when what limits leave out becomes more or less."""
        was, now = ([skip for skip in it.skipped if skip.limited] for it in (before, self.report.discovery))
        if now and len(now) != len(was):
            first = now[0]
            where = f"{first.namespace}/{first.name}"
            log.warning("limits leave out %d Services, such as %s: %s", len(now), where, first.reason)


def substance(discovery: Discovery) -> tuple[Discovered, ...]:
    """What of it is published: all but the evidence."""
    return tuple(replace(found, evidence=()) for found in discovery.discovered)


def _statuses(discovery: Discovery) -> dict[str, str]:
    return {
        found.service.key: f"{found.type} at port {found.endpoint.port}, {found.status}"
        for found in discovery.discovered
    }
