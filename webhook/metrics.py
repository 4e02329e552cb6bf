"""The guard's metrics."""

from __future__ import annotations

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")
VERDICTS = ALLOWED, DENIED, WARNED, FAILED = "allowed", "denied", "warned", "failed"

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

# Their time of creation tells nothing that the process' own start time does not.
disable_created_metrics()


class Metrics:
    """All of them, registered once."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self.reviews = Counter(
            "toolset_guard_reviews_total",
            "Reviews by operation, verdict (allowed, denied, warned: would be denied, failed: our own error) "
            "and rule.",
            ["operation", "verdict", "rule"],
            registry=registry,
        )
        self.duration = Histogram(
            "toolset_guard_review_duration_seconds",
            "Seconds that a verdict took, without the network.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.malformed = Counter(
            "toolset_guard_malformed_total",
            "Requests that were no AdmissionReview.",
            registry=registry,
        )
        self.injections = Counter(
            "toolset_injection_pods_total",
            "Pods of HolmesGPT's by outcome (injected, complete: nothing was missing, refused: the log says "
            "why, failed: our own error).",
            ["outcome"],
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "toolset_guard_certificate_expiry_timestamp_seconds",
            "Unix time at which the certificate that is served ends.",
            registry=registry,
        )
        self.trusted = Gauge(
            "toolset_guard_trusted",
            "1 while the registered caBundle trusts the certificate that is served.",
            registry=registry,
        )
        self.rounds = Counter(
            "toolset_guard_upkeep_total",
            "Looks after certificate and registration, by outcome (success, failed).",
            ["status"],
            registry=registry,
        )
        for status in ("success", "failed"):
            self.rounds.labels(status)
