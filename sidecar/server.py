"""Runs the service under gunicorn: one worker, whose threads share the controller's state.

One worker and no second process keeps one loop and one set of metrics (docs/decisions/0003-one-worker.md).
The http and the metrics port are two addresses of that worker, told apart by the port.
"""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker
from prometheus_client import make_wsgi_app

from process.serving import SETTINGS
from sidecar.api.access import access_to
from sidecar.api.app import create_app
from sidecar.api.problems import answer_for_gunicorn
from sidecar.controller import Controller
from sidecar.metrics import Metrics

log = logging.getLogger(__name__)

THREADS = 8

DRAIN_SECONDS = 1.0
"""Between "not ready" and closing the door: a kubelet's or load balancer's next look fits in."""

GRACE_SECONDS = 3
"""For requests in flight; with the drain it stays below the promised 5 s."""

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Serves until SIGTERM. The controller's loop is a thread of the worker."""

    def __init__(self, controller: Controller, metrics: Metrics, http: str, metrics_address: str) -> None:
        self.controller = controller
        self._metrics = metrics
        self._http = http
        self._metrics_address = metrics_address
        super().__init__()

    def run(self) -> None:
        """Until SIGTERM."""
        # What is there before the fork stays shared: a collection would touch, and so copy, every page of it.
        gc.collect()
        gc.freeze()
        super().run()

    def load_config(self) -> None:
        """Gunicorn's settings; its own command line and files are not read."""
        settings = {
            **SETTINGS,
            "bind": [self._http, self._metrics_address],
            "worker_class": Worker,
            "threads": THREADS,
            "graceful_timeout": GRACE_SECONDS,
            "keepalive": 15,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Wsgi:
        """Called in the worker, after the fork: threads may start here."""
        thread = threading.Thread(target=self.controller.run, name="controller", daemon=True)
        thread.start()
        log.info(
            "listening on http://%s (status page, /api/v1, /health, /ready, /startz), "
            "metrics on http://%s/metrics",
            self._http,
            self._metrics_address,
        )
        answer_for_gunicorn()
        access = access_to(self._http, self.controller.settings.reviewer, self._metrics)
        app = create_app(self.controller, self._metrics, access)
        exposition = make_wsgi_app(self._metrics.registry)
        metrics_port = self._metrics_address.rpartition(":")[2]

        def by_port(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ["SERVER_PORT"] == metrics_port:
                return cast("Iterable[bytes]", exposition(environ, start_response))
            return app(environ, start_response)

        return by_port


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Says "not ready" first when it is told to end, and closes its doors a moment later."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM, from the arbiter."""
        del sig, frame
        controller: Controller = self.app.controller
        if controller.draining:
            return
        controller.stop()
        signal.signal(signal.SIGALRM, lambda *_: super(Worker, self).handle_exit(signal.SIGTERM, None))
        signal.setitimer(signal.ITIMER_REAL, DRAIN_SECONDS)
