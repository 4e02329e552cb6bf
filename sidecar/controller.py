"""The loop: sees, asks, publishes, again and again; owns the state that the web reads.

Failing to see is not seeing nothing: when a pass fails, what was published last stays. Whatever waits for
somebody (watches, probes, ConfigMaps, HolmesGPT) has a thread of its own: this one only decides.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, field

from sidecar.asker import Asker
from sidecar.config import Config
from sidecar.connection import ClusterError
from sidecar.discovery import Discoverer
from sidecar.metrics import Metrics
from sidecar.prove import Question
from sidecar.publication import Publication
from sidecar.recognised import Recognised
from sidecar.report import Passed, Report, Teller, substance
from sidecar.settings import Settings
from sidecar.sight import Sight
from sidecar.sources import NotYetError
from sidecar.trigger import SETTLE_SECONDS
from toolset import render
from toolset.discovered import Discovery

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
"""How often the loop asks whether a file changed: well within the promised second."""

RETRY_SECONDS = 5.0
"""After a pass that failed, the next is tried so much later."""

QUIET_SECONDS = 0.25
"""A pass does not wait for more answers when none came for so long: the others are taken as they come."""

PASS_SECONDS = 5.0
"""Nor for so many that the answers never cease: somebody with thousands of Services could see to that."""

START_DEADLINE_SECONDS = 8.0
"""After so long a sidecar writes what it has, and lets HolmesGPT start (10 s are promised)."""

STUCK_SECONDS = 120.0
"""A loop that did not turn for so long is stuck: it waits for nobody but the API server, and not for long."""


@dataclass
class _Pass:
    """A pass that is under way."""

    started: float
    whole: bool
    failure: str = ""
    asked: bool = False
    """Whether it is the one that somebody asked for."""
    awaited: dict[int, Question] = field(default_factory=dict)
    heard_at: float = 0.0

    def over(self, now: float) -> bool:
        """Whether all have answered, or those that did not are slow."""
        quiet = now - max(self.started, self.heard_at) > QUIET_SECONDS
        return not self.awaited or quiet or now - self.started > PASS_SECONDS


@dataclass(frozen=True)
class Wish:
    """A pass that somebody asked for: the namespaces and types to ask anew; none of either means all."""

    namespaces: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()


class Controller:
    """Runs passes; one at a time, in the thread that calls :meth:`run`."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.saw_services = False
        self.draining = False
        self._trigger = settings.trigger
        self._sight = Sight(settings, metrics)
        self._teller = Teller(metrics)
        self._publication = Publication(
            settings.targets,
            settings.rendering,
            self._sight.base,
            self._sight.overrides,
            settings.written,
        )
        self._discoverer = Discoverer(self.config, settings.source.slices, settings.cluster_domain)
        self._asker = Asker(self._trigger.wake)
        self._recognised: Recognised | None = None
        self._recalled = False
        self._pass: _Pass | None = None
        self._wish: Wish | None = None
        self._wishing = threading.Lock()
        self._look_at = 0.0
        self._retry_at = self._ask_at = math.inf
        self._news_since: float | None = None
        self._stopping = threading.Event()
        self._turned_at = time.monotonic()
        self._running = False

    def check_config(self) -> None:
        """Reads the configuration for the first time.

        Raises:
            SourceError: it cannot be read now.
            WrongTextError: it is wrong.
        """
        self._sight.check_config()

    @property
    def config(self) -> Config:
        """The configuration in force: the last good one."""
        return self._sight.config

    @property
    def report(self) -> Report:
        """What the last pass came to."""
        return self._teller.report

    def explain(self, key: str) -> str:
        """Every step of what becomes of a Service; see :meth:`sidecar.sight.Sight.explain`."""
        return self._sight.explain(key)

    def generated(self) -> render.Document:
        """HolmesGPT's toolsets as they are generated, with the overrides over them; without the base file."""
        return self._publication.generated(self.report.discovery, self.config)

    @property
    def wished(self) -> bool:
        """Whether a pass that was asked for has not ended yet."""
        return self._wish is not None

    def wish(self, wish: Wish) -> bool:
        """Asks for a pass; False as long as one that was asked for before has not ended. From any thread."""
        with self._wishing:
            if self._wish is not None:
                return False
            self._wish = wish
        self._trigger.pull(whole=wish == Wish())
        return True

    @property
    def dead(self) -> list[str]:
        """What does not run any more and should, by name; empty when all is well."""
        dead = ["discovery loop"] if time.monotonic() - self._turned_at > STUCK_SECONDS else []
        if not self._running:
            return dead
        parts = (*self.settings.parts, *self.settings.source.watches(), *self.settings.watches())
        dead += [part.name for part in parts if not part.alive]
        return dead if self._asker.alive else [*dead, "prober"]

    @property
    def started(self) -> bool:
        """Whether this process has written the file, or found it right; without a file, has seen Services."""
        return self._publication.confirmed if self.settings.targets.toolset_file else self.saw_services

    @property
    def ready(self) -> bool:
        """Whether one list was complete and what came of it was published, and no end is near."""
        return self.saw_services and self._publication.complete and not self.draining

    @property
    def failures(self) -> tuple[str, ...]:
        """What the last pass could not do, and what could not be written since."""
        return (*self.report.failures, *self.settings.failures())

    def watches(self) -> list[tuple[str, str]]:
        """What is watched, and how that goes: its name, and ``watching`` where all is well."""
        return [
            (
                watch.name.removeprefix("watch of "),
                watch.problem or ("watching" if watch.synced else "not listed yet"),
            )
            for watch in (*self.settings.source.watches(), *self.settings.watches())
        ]

    def stop(self) -> None:
        """Lets :meth:`run` return; what is published stays."""
        self.draining = True
        self._stopping.set()
        self._trigger.wake()

    def run(self) -> None:
        """Until :meth:`stop`."""
        deadline = threading.Timer(START_DEADLINE_SECONDS, self._publication.start_without)
        deadline.daemon = True
        if self.settings.sidecar:
            deadline.start()
        for part in self.settings.parts:
            part.start()
        self.settings.source.start(self._trigger.pull)
        self._running = True
        while not self._stopping.is_set():
            self._turned_at = now = time.monotonic()
            try:
                self._turn(now)
            except Exception:
                # The one broad net of this thread: a bug must not end the loop and leave a file to rot.
                log.exception("Service discovery failed by a bug, please report it; tried again")
                self._pass = self._wish = None
                self._retry_at = time.monotonic() + RETRY_SECONDS
                self._stopping.wait(TICK_SECONDS)
            self._trigger.wait(TICK_SECONDS)
        deadline.cancel()
        self._end()

    def _end(self) -> None:
        self._running = False
        self.settings.source.stop()
        for part in reversed(self.settings.parts):
            part.stop()
        self._asker.close()

    def _turn(self, now: float) -> None:
        self._learn(now)
        if self._stirred():
            self._trigger.pull()
        if self._pass is None and self._due(now):
            self._begin(now, whole=self._trigger.take() or now >= self._look_at)
        if now >= self._ask_at:
            self._ask(now)
        if self._pass is not None:
            if self._pass.over(now):
                over, self._pass = self._pass, None
                self._finish(over)
        elif self._news_since is not None and now - self._news_since > SETTLE_SECONDS:
            self._take_news()

    def _learn(self, now: float) -> None:
        """Takes the answers that came."""
        for question, verdict in self._asker.take():
            self._discoverer.learn(question, verdict, time.monotonic())
            self._news_since = self._news_since or now
            self._ask_at = now
            if self._pass is not None and self._pass.awaited.pop(id(question), None) is not None:
                self._pass.heard_at = now

    def _stirred(self) -> bool:
        if self._trigger.pulled or self._pass is not None:
            return False  # it is looked at anyway, now or in the next pass
        return self._sight.stirred() or self._publication.stirred()

    def _due(self, now: float) -> bool:
        # The first pass waits for nothing: there is no burst to settle.
        first = not self.saw_services and self._trigger.pulled
        return first or now >= min(self._look_at, self._retry_at) or self._trigger.ripe()

    def _begin(self, now: float, *, whole: bool) -> None:
        """A pass: sees what is there; what has to be asked is asked next."""
        self._retry_at = math.inf
        try:
            recognised, failure = self._sight.see()
        except NotYetError:
            self._look_at, self._retry_at = math.inf, now + RETRY_SECONDS
            return
        if failure:
            self._retry_at = now + RETRY_SECONDS
        wish = self._wish
        if recognised is None:
            self._look_at = math.inf
            self._wish = None
            self._teller.failed(failure)
            return
        self._recall()
        whole = whole or self._recognised is None
        interval = self.config.discovery_interval.total_seconds()
        self._look_at = now + interval if whole else min(self._look_at, now + interval)
        self._recognised = recognised
        self._discoverer.reconfigure(self.config, asks=self._sight.prober().asks)
        self._discoverer.see(recognised, now)
        self._discoverer.prompt(now, None if whole else self.settings.source.slices_stirred())
        if wish:
            self._discoverer.prompt_some(now, wish.namespaces, wish.types)
        self._pass = _Pass(now, whole, failure, asked=wish is not None)
        self._ask_at = now

    def _ask(self, now: float) -> None:
        questions = self._discoverer.questions(now)
        if self._pass is not None:
            self._pass.awaited |= {id(question): question for question in questions}
        if questions:
            self._asker.submit(self._sight.prober(), questions)
        self._ask_at = self._discoverer.next_due(now)

    def _finish(self, over: _Pass) -> None:
        """Publishes what is known now, though some may not have answered yet."""
        self.saw_services = True
        discovery, failures = self._publish(tell=over.whole)
        if over.failure:
            self._teller.failed(over.failure)
            failures = (over.failure, *failures)
        now = time.monotonic()
        passed = Passed(discovery, failures, now - over.started, len(over.awaited), bool(over.failure))
        self._teller.passed(passed, self.settings.source.description)
        self._teller.network(down=self._discoverer.network_down(now))
        self.settings.source.settle(whole=over.whole)
        if over.asked:
            self._wish = None

    def _publish(self, *, tell: bool) -> tuple[Discovery, tuple[str, ...]]:
        self._news_since = None
        discovery = self._discoverer.known(time.monotonic())
        failures = self._publication.publish(discovery, self.config, tell=tell)
        if failures:
            self._retry_at = min(self._retry_at, time.monotonic() + RETRY_SECONDS)
        return discovery, failures

    def _take_news(self) -> None:
        """Answers came between passes: publishes if they change anything."""
        self._news_since = None
        now = time.monotonic()
        discovery, failures = self._discoverer.known(now), self.report.failures
        if substance(discovery) != substance(self.report.discovery):
            discovery, failures = self._publish(tell=False)
        self._teller.news(discovery, failures)
        self._teller.network(down=self._discoverer.network_down(now))
        self.settings.source.settle(whole=False)

    def look(self) -> bool:
        """A whole pass that waits for every answer; returns whether all worked. Not while it runs."""
        now = time.monotonic()
        recognised, failure = self._sight.see()
        if recognised is None:
            self._teller.failed(failure)
            return False
        self._recall()
        self._discoverer.reconfigure(self.config, asks=True)
        self._discoverer.discover(recognised, self._sight.prober(), now)
        self._finish(_Pass(now, True, failure))
        return not self.report.failures

    def _recall(self) -> None:
        """Takes up what an earlier process had proven, before the first pass."""
        if self._recalled:
            return
        try:
            self._discoverer.remember(self._publication.recall())
        except ClusterError as error:
            log.warning("what was proven before this start is not known: %s", error)
        self._recalled = True
