"""The Flask application: probes and the page's own files, for everybody, and the API behind its guard."""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, request
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.exceptions import Forbidden

from sidecar.api.access import Access, Everybody, is_loopback
from sidecar.api.operations import Operation, mount
from sidecar.api.problems import answer_problems
from sidecar.api.routes import ROOT, Api
from sidecar.controller import Controller
from sidecar.metrics import Metrics

PROBES = ("/health", "/ready", "/startz")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of everything: the page's own files, and nothing within them or from elsewhere."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(controller: Controller, metrics: Metrics, access: Access) -> Flask:
    """The application; knows the controller only to read from it, and to wish a pass."""
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    # Paths are taken as they are: a redirect to a tidier one would have to be authorized, too.
    app.url_map.merge_slashes = False
    PrometheusMetrics(
        app, path=None, registry=metrics.registry, excluded_paths=[*PROBES], group_by="endpoint"
    )
    answer_problems(app)
    _serve_probes(app, controller)
    _guard(app, access)
    _serve_api(app, controller)

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    return app


def _guard(app: Flask, access: Access) -> None:
    everybody = isinstance(access, Everybody)

    @app.before_request
    def admit() -> None:
        """Before anything is routed, so that who may not use the API learns nothing of it."""
        if not request.path.startswith("/api"):
            return
        if everybody:
            _refuse_other_sites()
        credentials = request.authorization
        bearer = credentials.token if credentials and credentials.type == "bearer" else ""
        verb = "get" if request.method == "HEAD" else request.method.lower()
        access.admit(bearer or "", verb, request.path)


def _refuse_other_sites() -> None:
    """Where no token is asked for, a page of another site could use the browser of who runs this."""
    host = urlsplit(f"//{request.host}").hostname or ""
    if not is_loopback(host):
        raise Forbidden(f"Host: {host:.100} is not this machine: open http://127.0.0.1 or http://localhost")
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != request.host:
        raise Forbidden(f"Origin: {origin:.100} is another site")


def _serve_api(app: Flask, controller: Controller) -> None:
    operations = Api(controller).operations()

    @cache
    def openapi() -> dict[str, object]:
        from sidecar.api.openapi import document  # noqa: PLC0415 - few ask for it, and it takes memory

        return document(operations)

    def openapi_json() -> dict[str, object]:
        return openapi()

    mount(app, operations)
    mount(
        app,
        [Operation("GET", f"{ROOT}/openapi.json", openapi_json, "This document", answer="application/json")],
    )


def _serve_probes(app: Flask, controller: Controller) -> None:
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


def _unready(controller: Controller) -> str:
    failures = controller.failures
    return failures[0] if failures else "no pass over the Services has ended yet"


def _probe(good: bool, reason: str) -> tuple[Response, int]:
    return (jsonify(status="ok"), 200) if good else (jsonify(status="failing", reason=reason), 503)
