"""What the guard serves: reviews, probes and metrics, all on its one TLS port."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from flask import Flask, Response, jsonify, request
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.exceptions import HTTPException, UnsupportedMediaType

from toolset.names import GENERATED, OVERRIDES
from toolset.text import printable
from webhook import metrics as names
from webhook import review
from webhook.inject import Injected, Injection, inject
from webhook.metrics import Metrics
from webhook.policy import Policy, decide
from webhook.registration import PODS, REVIEWS
from webhook.request import Decision, Request, mapping

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""How long a review waits for another one's content to be checked; within every ``timeoutSeconds``."""


class Upkeep(Protocol):
    """What the application asks about certificate, registration and configuration."""

    @property
    def unready(self) -> str:
        """Why the API server should not come here; empty when it should."""

    @property
    def alive(self) -> bool:
        """Whether the upkeep goes on."""

    @property
    def allowed_env(self) -> frozenset[str] | None:
        """The variables that texts may name; None: any."""

    def refresh(self) -> bool:
        """Reads the configuration anew unless that was just done; whether it changed."""


class Reviewer:
    """Gives decisions; counts and tells them. Safe to call from several threads."""

    def __init__(self, policy: Policy, upkeep: Upkeep, metrics: Metrics) -> None:
        self._policy = policy
        self._upkeep = upkeep
        self._metrics = metrics
        # Content is checked one at a time: side by side both would take twice as long, and time out.
        self._checking = threading.Lock()

    def decide(self, asked: Request) -> Decision:
        """The decision; our own bug denies what is ours and says so."""
        start = time.perf_counter()
        try:
            decision = self._decide(asked)
            verdict = names.ALLOWED if decision.allowed else names.DENIED
            verdict = names.WARNED if decision.allowed and decision.message else verdict
        except Exception:
            log.exception("review of %s by %s failed: a bug, please report it", asked.what, asked.user)
            ours = not asked.names.isdisjoint({GENERATED, OVERRIDES})
            decision = Decision(not ours, "failed", "the guard failed: a bug; its log says more")
            decision = self._policy.enforced(decision)
            verdict = names.FAILED
        self._metrics.duration.observe(time.perf_counter() - start)
        self._metrics.reviews.labels(asked.operation, verdict, decision.rule).inc()
        _tell(asked, decision, verdict)
        return decision

    def _decide(self, asked: Request) -> Decision:
        if not self._policy.needs_time(asked):
            return decide(asked, self._policy, self._upkeep.allowed_env)
        if not self._checking.acquire(timeout=PATIENCE_SECONDS):
            busy = Decision(False, "busy", "the guard is busy with other objects: try again")
            return self._policy.enforced(busy)
        try:
            decision = decide(asked, self._policy, self._upkeep.allowed_env)
            if (not decision.allowed or decision.message) and self._upkeep.refresh():
                decision = decide(asked, self._policy, self._upkeep.allowed_env)
            return decision
        finally:
            self._checking.release()


def _tell(asked: Request, decision: Decision, verdict: str) -> None:
    if verdict == names.DENIED or decision.rule == "break-glass" or verdict == names.WARNED:
        log.warning(
            "%s: %s of %s by %s (%s)",
            "would be denied" if verdict == names.WARNED else verdict,
            asked.operation,
            asked.what,
            asked.user,
            decision.rule,
        )


class Injector:
    """Adds the sidecar; counts and tells it. Whatever happens, the pod is made."""

    def __init__(self, injection: Injection, metrics: Metrics) -> None:
        self._injection = injection
        self._metrics = metrics

    def inject(self, asked: Request) -> Injected:
        """What is done to the pod of a request."""
        pod = asked.object or {}
        name = mapping(pod, "metadata").get("name") or mapping(pod, "metadata").get("generateName")
        try:
            done = inject(pod, self._injection)
            outcome = "injected" if done.patch else "refused" if done.warning else "complete"
        except Exception:
            log.exception("pod %s/%s has no sidecar: a bug, please report it", asked.namespace, name)
            done, outcome = (
                Injected(warning="no sidecar was added: a bug; the guard's log says more"),
                "failed",
            )
        self._metrics.injections.labels(outcome).inc()
        log.info("pod %s/%s: %s", asked.namespace, name, done.warning or outcome)
        return done


def create_app(
    reviewer: Reviewer, upkeep: Upkeep, metrics: Metrics, injector: Injector | None = None
) -> Flask:
    """The application."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = review.MAX_BYTES
    # Reviews are measured by us: the exporter would take as long as the verdict does.
    PrometheusMetrics(app, registry=metrics.registry, excluded_paths=[REVIEWS, PODS, "/health", "/ready"])
    _answer_problems(app, metrics)

    @app.post(REVIEWS)
    def validate() -> Response:
        uid, asked = _asked()
        return Response(review.answer(uid, reviewer.decide(asked)), mimetype="application/json")

    if injector:

        @app.post(PODS)
        def mutate() -> Response:
            uid, asked = _asked()
            return Response(review.patched(uid, injector.inject(asked)), mimetype="application/json")

    @app.get("/health")
    def health() -> tuple[Response, int]:
        return _probe("" if upkeep.alive else "the upkeep of certificate and registration has ended")

    @app.get("/ready")
    def ready() -> tuple[Response, int]:
        return _probe(upkeep.unready)

    return app


def _asked() -> tuple[str, Request]:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("expected Content-Type: application/json")
    return review.read(request.get_data(cache=False))


def _answer_problems(app: Flask, metrics: Metrics) -> None:
    """Problem details (RFC 9457) for whatever is no review."""

    @app.errorhandler(review.ReviewError)
    def no_review(error: review.ReviewError) -> tuple[Response, int]:
        return problem(400, "Bad Request", str(error))

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[Response, int]:
        answer, status = problem(error.code or 500, error.name, error.description or "")
        answer.headers.extend((name, value) for name, value in error.get_headers() if name == "Allow")
        return answer, status

    def problem(status: int, title: str, detail: str) -> tuple[Response, int]:
        if request.path in {REVIEWS, PODS}:
            metrics.malformed.inc()
            log.warning("no AdmissionReview, %d %s: %s", status, title, printable(detail))
        answer = jsonify(type="about:blank", title=title, status=status, detail=detail)
        answer.mimetype = "application/problem+json"
        return answer, status


def _probe(reason: str) -> tuple[Response, int]:
    return (jsonify(status="failing", reason=reason), 503) if reason else (jsonify(status="ok"), 200)
