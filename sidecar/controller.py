"""The loop: looks, proves, publishes, again and again; owns the state that the web reads.

Failing to see is not seeing nothing: when a pass fails, what was published last stays.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from sidecar import wishes
from sidecar.config import Config
from sidecar.discovery import Discoverer, Recognised, recognise
from sidecar.explain import Setting, explain
from sidecar.metrics import FAILED, SUCCESS, Metrics
from sidecar.prove import NetworkProber, NoProber, Prober
from sidecar.publication import Publication, Targets
from sidecar.service_patterns import Catalogues, judge
from sidecar.sources import ServiceSource, SourceError, TextSource
from toolset import catalogue, patterns, render
from toolset.discovered import Discovery
from toolset.service import Service

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
"""How often the loop asks whether something prompts a pass: well within the promised second."""

RETRY_SECONDS = 5.0
"""After a pass that failed, the next is tried so much later."""

START_DEADLINE_SECONDS = 8.0
"""After so long a sidecar writes what it has, and lets HolmesGPT start (10 s are promised)."""

PROGRESS_EVERY = 250
"""Services between two reports of progress."""

STUCK_SECONDS = 180.0
"""A loop that did not turn for so long is stuck: longer than the longest pass of 10,000 Services."""


@dataclass(frozen=True)
class Settings:
    """What a controller works with. ``probe`` is false where nothing can be asked, as of manifests."""

    source: ServiceSource
    probe: bool
    targets: Targets = field(default_factory=Targets)
    config: TextSource | None = None
    base: TextSource | None = None
    overrides: TextSource | None = None
    cluster_domain: str = "cluster.local"
    sidecar: bool = False
    progress: Callable[[str], object] = lambda _: None
    """Called with what a pass is at, for a terminal."""


@dataclass(frozen=True)
class Report:
    """The result of the last pass; replaced whole, never changed in place."""

    discovery: Discovery = field(default_factory=Discovery)
    failures: tuple[str, ...] = ()


class Controller:
    """Runs passes; one at a time, in the thread that calls :meth:`run`."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.report = Report()
        self.saw_services = False
        self.draining = False
        self._metrics = metrics
        self._config = wishes.config(settings.config)
        self._base = wishes.base(settings.base)
        self._overrides = wishes.overrides(settings.overrides, self._config)
        self._followed = (self._config, self._base, self._overrides)
        self._publication = Publication(
            settings.targets, settings.cluster_domain, self._base, self._overrides
        )
        self._discoverer = Discoverer(NoProber(), self._config.value, settings.source.slices)
        self._recognised: Recognised | None = None
        self._stopping = threading.Event()
        self._turned_at = time.monotonic()

    def check_config(self) -> None:
        """Reads the configuration for the first time.

        Raises:
            SourceError: it cannot be read now.
            WrongTextError: it is wrong.
        """
        self._config.load()

    @property
    def config(self) -> Config:
        """The configuration in force: the last good one."""
        return self._config.value

    @property
    def alive(self) -> bool:
        """Whether the loop turned lately."""
        return time.monotonic() - self._turned_at < STUCK_SECONDS

    @property
    def started(self) -> bool:
        """Whether this process has written the file, or found it right; without a file, has seen Services."""
        return self._publication.confirmed if self.settings.targets.toolset_file else self.saw_services

    @property
    def ready(self) -> bool:
        """Whether one list was complete and what came of it was published, and no end is near."""
        return self.saw_services and self._publication.complete and not self.draining

    def stop(self) -> None:
        """Lets :meth:`run` return after the pass it is in; what is published stays."""
        self.draining = True
        self._stopping.set()

    def run(self) -> None:
        """Until :meth:`stop`."""
        deadline = threading.Timer(START_DEADLINE_SECONDS, self._publication.start_without)
        deadline.daemon = True
        if self.settings.sidecar:
            deadline.start()
        look_at = health_at = time.monotonic()
        while not self._stopping.is_set():
            self._turned_at = now = time.monotonic()
            try:
                if now >= look_at or self._prompted():
                    wait = self.config.discovery_interval.total_seconds() if self.look() else RETRY_SECONDS
                    look_at = time.monotonic() + wait
                    health_at = time.monotonic() + self.config.health_check_interval.total_seconds()
                elif now >= health_at:
                    self.check_health()
                    health_at = time.monotonic() + self.config.health_check_interval.total_seconds()
            except Exception:
                # The one broad net of this thread: a bug must not end the loop and leave a file to rot.
                log.exception("Service discovery failed by a bug, please report it; tried again")
                look_at = health_at = time.monotonic() + RETRY_SECONDS
            self._stopping.wait(TICK_SECONDS)
        deadline.cancel()

    def explain(self, key: str) -> str:
        """Every step of what becomes of the Service ``namespace/name``; nothing is published.

        Raises:
            SourceError: the Services cannot be seen.
            UnknownServiceError: it is not among them.
        """
        setting = Setting(
            self._catalogues(),
            self.config,
            render.Settings(self.settings.cluster_domain, frozenset(self.config.trusted_namespaces)),
            self._prober(keep_trace=True),
            self.settings.source.slices,
        )
        # Installations do not reach beyond a namespace.
        only = replace(self.config, namespaces=(key.partition("/")[0],))
        return explain(key, self.settings.source.services(only), setting)

    def _prompted(self) -> bool:
        return self.settings.source.changed() or any(followed.stirred() for followed in self._followed)

    def look(self) -> bool:
        """A whole pass: sees all Services, proves what must be, publishes; returns whether all worked."""
        started = time.monotonic()
        for followed in self._followed:
            followed.refresh()
        if unknown := [followed.problem for followed in self._followed if not followed.known]:
            # With the defaults in their place it might look where it must not, or write what nobody wants.
            return self._failed("; ".join(unknown))
        self._discoverer.reconfigure(self._prober(), self.config)
        try:
            self._recognised = self._see()
        except SourceError as error:
            return self._failed(str(error))
        discovery = self._discoverer.discover(self._recognised, started)
        self.saw_services = True
        failures = self._publication.publish(discovery, self.config)
        self._tell(Report(discovery, failures), time.monotonic() - started)
        return not failures

    def _failed(self, reason: str) -> bool:
        self._metrics.services_discovered.labels(FAILED).inc()
        self.report = Report(self.report.discovery, (reason,))
        log.error("Service discovery failed: %s; what was published last stays", reason)
        return False

    def check_health(self) -> None:
        """Asks again what is known, without looking for more; publishes what changed."""
        if self._recognised is None:
            return
        before = _statuses(self.report.discovery)
        discovery = self._discoverer.discover(self._recognised, time.monotonic())
        now = _statuses(discovery)
        failures = self.report.failures
        if now != before:
            failures = self._publication.publish(discovery, self.config)
        previous, self.report = self.report, Report(discovery, failures)
        self._set_gauges(discovery)
        _tell_changes(previous.discovery, discovery)

    def _see(self) -> Recognised:
        if not self.config.enabled:
            log.warning("discovery is switched off by service_discovery.enabled: false")
            return Recognised()
        return recognise(
            self._counted(self.settings.source.services(self.config)),
            self._catalogues(),
            self.config,
            self.settings.cluster_domain,
            self.settings.source.slices,
        )

    def _catalogues(self) -> Catalogues:
        """The operator's, and those of namespaces with ServicePatterns; what is wrong with one is told."""
        operators = patterns.apply(self.config.service_patterns, catalogue.bundled())
        judged, catalogues = judge(self.settings.source.service_patterns(self.config), operators)
        self.settings.source.tell(judged)
        return catalogues

    def _counted(self, services: Iterable[Service]) -> Iterator[Service]:
        for count, service in enumerate(services, start=1):
            if count % PROGRESS_EVERY == 0:
                self.settings.progress(f"{count} Services seen")
            yield service

    def _prober(self, *, keep_trace: bool = False) -> Prober:
        if not self.settings.probe or self.config.skip_health_check:
            return NoProber()
        return NetworkProber(
            cluster_domain=self.settings.cluster_domain,
            timeout=self.config.probe_timeout.total_seconds(),
            concurrency=self.config.probe_concurrency,
            observe=self._asked,
            keep_trace=keep_trace,
        )

    def _asked(self, seconds: float, done: int, of: int) -> None:
        self._metrics.health_check_duration.observe(seconds)
        self.settings.progress(f"{done} of {of} candidates asked")

    def _tell(self, report: Report, seconds: float) -> None:
        previous, self.report = self.report, report
        count = len(report.discovery.discovered)
        self._metrics.services_discovered.labels(SUCCESS).inc(count)
        self._metrics.discovery_duration.observe(seconds)
        self._set_gauges(report.discovery)
        _tell_changes(previous.discovery, report.discovery)
        if not report.failures:
            self._metrics.last_success.set_to_current_time()
        if count:
            log.info("discovered %d services in %s", count, self.settings.source.description)
        else:
            log.warning("No services discovered in %s", self.settings.source.description)
        log.info(
            "discovery completed in %.2f s: %d discovered, %d left out, %d failures to publish",
            seconds,
            count,
            len(report.discovery.skipped),
            len(report.failures),
        )

    def _set_gauges(self, discovery: Discovery) -> None:
        self._metrics.services.clear()
        for found in discovery.discovered:
            self._metrics.services.labels(found.type, found.status.value).inc()


def _statuses(discovery: Discovery) -> dict[str, str]:
    return {
        found.service.key: f"{found.type} at port {found.endpoint.port}, {found.status}"
        for found in discovery.discovered
    }


def _tell_changes(before: Discovery, now: Discovery) -> None:
    """One line for each Service that came, changed or went."""
    was, is_now = _statuses(before), _statuses(now)
    reasons = {f"{skip.namespace}/{skip.name}": skip.reason for skip in now.skipped}
    for key in sorted(was.keys() | is_now.keys()):
        if key not in is_now:
            log.info("service %s left out: %s", key, reasons.get(key, "it is gone"))
        elif was.get(key) != is_now[key]:
            log.info("service %s is %s", key, is_now[key])
