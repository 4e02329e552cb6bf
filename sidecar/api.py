"""What is served on the http port: the probes that the kubelet asks."""

from __future__ import annotations

from flask import Flask, Response, jsonify
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.exceptions import HTTPException

from sidecar.controller import Controller
from sidecar.metrics import Metrics

INDEX = """\
dynamic toolsets for HolmesGPT

/health  the loop turns, and everything beside it runs
/ready   the toolset is published and kept
/startz  this process has written the toolset file, or found it right

Metrics are on the metrics port, at /metrics.

"""


def create_app(controller: Controller, metrics: Metrics) -> Flask:
    """The application; knows the controller only to read from it."""
    app = Flask(__name__, static_folder=None)
    PrometheusMetrics(
        app, path=None, registry=metrics.registry, excluded_paths=["/health", "/ready", "/startz"]
    )

    @app.get("/health")
    def health() -> tuple[Response, int]:
        dead = controller.dead
        return _probe(not dead, f"not running any more: {', '.join(dead)}; see the log")

    @app.get("/ready")
    def ready() -> tuple[Response, int]:
        if controller.draining:
            return _probe(False, "shutting down")
        return _probe(controller.ready, _unready(controller))

    @app.get("/startz")
    def started() -> tuple[Response, int]:
        return _probe(controller.started, _unready(controller))

    @app.get("/")
    def index() -> Response:
        return Response(INDEX + "".join(f"{line}\n" for line in controller.status()), mimetype="text/plain")

    @app.errorhandler(HTTPException)
    def problem(error: HTTPException) -> tuple[Response, int]:
        """Problem details (RFC 9457)."""
        status = error.code or 500
        response = jsonify(type="about:blank", title=error.name, status=status, detail=error.description)
        response.mimetype = "application/problem+json"
        return response, status

    return app


def _unready(controller: Controller) -> str:
    failures = controller.failures
    return failures[0] if failures else "no pass over the Services has ended yet"


def _probe(good: bool, reason: str) -> tuple[Response, int]:
    return (jsonify(status="ok"), 200) if good else (jsonify(status="failing", reason=reason), 503)
