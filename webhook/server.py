"""Runs the guard under gunicorn, over TLS: one worker with threads (docs/decisions/0003-one-worker.md)."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from process.serving import SETTINGS
from webhook.app import Injector, Reviewer, create_app
from webhook.metrics import Metrics
from webhook.upkeep import Upkeep

log = logging.getLogger(__name__)

THREADS = 32
"""Most of them are never started: one takes what another leaves."""

REQUEST_SECONDS = 10.0
"""From the first byte to the end of the answer, handshake included: who is slower is hung up on."""

KEEPALIVE_SECONDS = 120
"""Longer than API servers keep idle connections (90 s), so that it is never us who closes one in use."""

DRAIN_SECONDS = 5.0
"""Between "not ready" and closing the door: Services stop leading here meanwhile."""

GRACE_SECONDS = 5
"""For requests in flight, and for connections that are told to close."""


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Serves until SIGTERM. The upkeep is a thread of the worker."""

    def __init__(
        self,
        reviewer: Reviewer,
        injector: Injector | None,
        upkeep: Upkeep,
        metrics: Metrics,
        listen: str,
        drain: float,
    ) -> None:
        self.upkeep = upkeep
        self.drain = drain
        self._reviewer = reviewer
        self._injector = injector
        self._metrics = metrics
        self._listen = listen
        super().__init__()

    def load_config(self) -> None:
        """Gunicorn's settings; its own command line and files are not read."""
        settings = {
            **SETTINGS,
            "bind": [self._listen],
            "worker_class": Worker,
            "threads": THREADS,
            # The arbiter counts from its own SIGTERM, and kills who is not gone by then.
            "graceful_timeout": int(self.drain) + GRACE_SECONDS,
            "keepalive": KEEPALIVE_SECONDS,
            # Says that TLS is spoken; the context comes from the upkeep.
            "certfile": os.devnull,
            "ssl_context": self._context,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def _context(self, config: Any, default: Any) -> ssl.SSLContext:
        """Asked at each new connection: a certificate is replaced without a restart."""
        del config, default
        return self.upkeep.context

    def load(self) -> Flask:
        """Called in the worker, after the fork: threads may start here."""
        threading.Thread(target=self.upkeep.run, name="upkeep", daemon=True).start()
        log.info("listening on https://%s (/validate, /health, /ready, /metrics)", self._listen)
        return create_app(self._reviewer, self.upkeep, self._metrics, self._injector)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Hangs up on who is too slow, and says "not ready" a while before it closes its doors."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._began: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """One request, in a thread of the pool."""
        self._began[conn] = time.monotonic()
        try:
            goes_on = super().handle(conn)
        finally:
            self._began.pop(conn, None)
        if not goes_on:
            # gthread would wait for the client's own end in its main loop, up to 2 s, and with it everybody.
            conn.close(graceful=True)
            conn.close = _closed
        return goes_on

    def murder_pending(self) -> None:
        """Called about once a second. gthread waits for ever for the rest of a request."""
        super().murder_pending()
        limit = time.monotonic() - REQUEST_SECONDS
        for conn, began in list(self._began.items()):
            if began < limit:
                with suppress(OSError):
                    socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM, from the arbiter."""
        del sig, frame
        server: Server = self.app
        if server.upkeep.unready == "shutting down":
            return
        server.upkeep.end()
        signal.signal(signal.SIGALRM, lambda *_: super(Worker, self).handle_exit(signal.SIGTERM, None))
        signal.setitimer(signal.ITIMER_REAL, server.drain)


def _closed(*, graceful: bool = False) -> None:
    del graceful
