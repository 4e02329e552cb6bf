"""What a pass sees: people's wishes, the catalogues, the Services; and the prober that these ask for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sidecar import wishes
from sidecar.config import Config, dropped
from sidecar.explain import Setting, explain
from sidecar.metrics import FAILED, SUCCESS, Metrics
from sidecar.prove import NetworkProber, NoProber, Prober
from sidecar.recognised import Recognised, recognise
from sidecar.service_patterns import Catalogues, judge
from sidecar.settings import Settings
from sidecar.sources import NotYetError, ServiceSource, SourceError
from toolset import catalogue, patterns
from toolset.service import Service

log = logging.getLogger(__name__)

PROGRESS_EVERY = 250
"""Services between two reports of progress."""


class Sight:
    """Sees with the last good wishes of people."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._config = wishes.config(settings.config)
        self.base = wishes.base(settings.base)
        self.overrides = wishes.overrides(settings.overrides, self._config)
        self._followed = (self._config, self.base, self.overrides)
        self._prober: tuple[Config, Prober] | None = None
        self._recognised: Recognised | None = None

    @property
    def config(self) -> Config:
        """The configuration in force: the last good one."""
        return self._config.value

    def check_config(self) -> None:
        """Reads the configuration for the first time.

        Raises:
            SourceError: it cannot be read now.
            WrongTextError: it is wrong.
        """
        self._config.load()

    def stirred(self) -> bool:
        """Whether something may have changed that no watch tells of; cheap enough to ask often."""
        return self._settings.source.changed() or any(followed.stirred() for followed in self._followed)

    def see(self) -> tuple[Recognised | None, str]:
        """What is there, and why that may be stale; None as long as nothing can be said.

        Raises:
            NotYetError: nothing is amiss, it is not there yet.
        """
        self._refresh_wishes()
        if unknown := [followed.problem for followed in self._followed if not followed.known]:
            # With the defaults in their place it might look where it must not, or write what nobody wants.
            return None, "; ".join(unknown)
        if not self.config.enabled:
            log.warning("discovery is switched off by service_discovery.enabled: false")
            return Recognised(), ""
        try:
            catalogues = self._catalogues(self._settings.source)
            self._settings.source.care_for(catalogues)
            services = self._counted(self._settings.source.services(self.config))
            domain, slices = self._settings.cluster_domain, self._settings.source.slices
            self._recognised = recognise(services, catalogues, self.config, domain, slices)
        except NotYetError:
            raise
        except SourceError as error:
            return self._recognised, str(error)
        return self._recognised, ""

    def _refresh_wishes(self) -> None:
        before, known, problem = self.config, self._config.known, self._config.problem
        for followed in self._followed:
            followed.refresh()
        if self.config is not before and known:
            self._metrics.config_reloads.labels(SUCCESS).inc()
            for key in dropped(before, self.config):
                log.warning("the configuration says nothing of %s any more: the default is in force", key)
        if self._config.problem and self._config.problem != problem:
            self._metrics.config_reloads.labels(FAILED).inc()
            self._settings.wrong_config(self._config.problem)

    def explain(self, key: str) -> str:
        """Every step of what becomes of the Service ``namespace/name``; nothing is published.

        Raises:
            SourceError: the Services cannot be seen.
            UnknownServiceError: it is not among them.
        """
        source = self._settings.explained or self._settings.source
        setting = Setting(
            self._catalogues(source),
            self.config,
            self._settings.rendering(self.config),
            self._new_prober(keep_trace=True),
            source.slices,
        )
        # Installations do not reach beyond a namespace.
        only = replace(self.config, namespaces=(key.partition("/")[0],))
        return explain(key, source.services(only), setting)

    def _catalogues(self, source: ServiceSource) -> Catalogues:
        """The operator's, and those of namespaces with ServicePatterns; what is wrong with one is told."""
        operators = patterns.apply(self.config.service_patterns, catalogue.bundled())
        judged, catalogues = judge(source.service_patterns(self.config), operators)
        source.tell(judged)
        return catalogues

    def _counted(self, services: Iterable[Service]) -> Iterator[Service]:
        for count, service in enumerate(services, start=1):
            if count % PROGRESS_EVERY == 0:
                self._settings.progress(f"{count} Services seen")
            yield service

    def prober(self) -> Prober:
        """That of the configuration in force; made once, since reading all authorities takes long."""
        if self._prober is None or self._prober[0] is not self.config:
            self._prober = self.config, self._new_prober()
        return self._prober[1]

    def _new_prober(self, *, keep_trace: bool = False) -> Prober:
        if not self._settings.probe or self.config.skip_health_check:
            return NoProber()
        return NetworkProber(
            cluster_domain=self._settings.cluster_domain,
            timeout=self.config.probe_timeout.total_seconds(),
            concurrency=self.config.probe_concurrency,
            observe=self._metrics.health_check_duration.observe,
            progress=lambda done, of: self._settings.progress(f"{done} of {of} candidates asked"),
            keep_trace=keep_trace,
            via=self._settings.via,
        )
