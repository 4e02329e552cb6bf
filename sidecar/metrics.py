"""The service's metrics, by the names that the runbook gives them."""

from __future__ import annotations

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)

from toolset import __version__, catalogue

SUCCESS, FAILED = "success", "failed"

_DISCOVERY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_CHECK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


OTHER = "other"
"""Stands for all types that the catalogue has not: who creates a Service may make up any number of them."""

# Their time of creation tells nothing that the process' own start time does not.
disable_created_metrics()


class Metrics:
    """All of them, registered once. Both values of ``status`` exist from the start."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self.services_discovered = Counter(
            "toolset_services_discovered_total",
            "Services discovered, added up over passes (success); passes that failed (failed).",
            ["status"],
            registry=registry,
        )
        self.configmap_updates = Counter(
            "toolset_configmap_updates_total",
            "ConfigMaps written or removed (success), and attempts that failed (failed).",
            ["status"],
            registry=registry,
        )
        self.discovery_duration = Histogram(
            "toolset_discovery_duration_seconds",
            "Seconds that one pass took, from the list of Services to the proofs.",
            buckets=_DISCOVERY_BUCKETS,
            registry=registry,
        )
        self.health_check_duration = Histogram(
            "toolset_health_check_duration_seconds",
            "Seconds that one candidate took to prove itself and to answer its health check.",
            buckets=_CHECK_BUCKETS,
            registry=registry,
        )
        self.services = Gauge(
            "toolset_services",
            "Services discovered by the last pass, by type (of the catalogue, or other) and status.",
            ["type", "status"],
            registry=registry,
        )
        self.last_success = Gauge(
            "toolset_last_successful_pass_timestamp_seconds",
            "Unix time of the last pass that saw the cluster and published what it found.",
            registry=registry,
        )
        self.drift = Counter(
            "toolset_configmap_drift_total",
            "Generated ConfigMaps that somebody else changed, by what was done about it.",
            ["action"],
            registry=registry,
        )
        self.watch_restarts = Counter(
            "toolset_watch_restarts_total",
            "Watches that were opened again after they had ended or broken off, by resource.",
            ["resource"],
            registry=registry,
        )
        self.config_reloads = Counter(
            "toolset_config_reloads_total",
            "Changes of the configuration that were taken (success), and that were refused (failed).",
            ["status"],
            registry=registry,
        )
        self.holmes_refreshes = Counter(
            "toolset_holmesgpt_refreshes_total",
            "Calls that told HolmesGPT to read its toolsets anew.",
            ["status"],
            registry=registry,
        )
        self.leader = Gauge(
            "toolset_leader", "Whether this process writes the ConfigMaps.", registry=registry
        )
        self.network_down = Gauge(
            "toolset_network_down",
            "Whether all backends fail at once, so that what is published is left as it is.",
            registry=registry,
        )
        Info("toolset_build", "Which version this is.", registry=registry).info({"version": __version__})
        for action in ("repaired", "ignored"):
            self.drift.labels(action)
        for counter in (
            self.services_discovered,
            self.configmap_updates,
            self.config_reloads,
            self.holmes_refreshes,
        ):
            for status in (SUCCESS, FAILED):
                counter.labels(status)

    def count_service(self, kind: str, status: str) -> None:
        """One more Service of a type and status."""
        known = kind if kind in catalogue.bundled() else OTHER
        self.services.labels(known, status).inc()
