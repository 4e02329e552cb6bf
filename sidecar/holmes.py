"""Tells HolmesGPT that its file changed, so that it need not wait for its own next look.

HolmesGPT: ``POST /api/admin/reload/toolsets`` (holmes/admin/admin_api.py); releases without it look by
themselves every ``TOOLSET_STATUS_REFRESH_INTERVAL_SECONDS``.
"""

from __future__ import annotations

import logging
import threading
from http import HTTPStatus
from typing import Any

import requests

from sidecar.backoff import Backoff
from sidecar.threads import Part

log = logging.getLogger(__name__)

PATH = "/api/admin/reload/toolsets"

TIMEOUT_SECONDS = (2.0, 60.0)
"""To connect, and for the answer: HolmesGPT checks all of its toolsets first."""

ATTEMPTS = 5
"""A HolmesGPT that is not up yet reads the file when it starts: after so many, it is left to itself."""


class Refresher(Part):
    """Calls HolmesGPT in a thread of its own; what comes while it is calling is one more call."""

    def __init__(self, url: str, count: Any) -> None:
        """``url`` is HolmesGPT's own; ``count`` the counter with the label ``status``."""
        super().__init__("refresher")
        self._url = url.rstrip("/") + PATH
        self._count = count
        self._poked = threading.Event()
        self._absent = False

    def stop(self) -> None:
        """Returns at once."""
        self._stopping.set()
        self._poked.set()

    def poke(self) -> None:
        """The file changed."""
        self._poked.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._poked.wait()
            self._poked.clear()
            backoff = Backoff(1.0, 16.0)
            while not self._stopping.is_set() and not self.refresh():
                if backoff.failures >= ATTEMPTS:
                    log.warning("HolmesGPT was not reached at %s: it reads the file by itself", self._url)
                    break
                self._stopping.wait(backoff.next())

    def refresh(self) -> bool:
        """One call; returns whether another is of no use."""
        try:
            # A session would keep a connection for minutes that is needed once in a while.
            answer = requests.post(self._url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            log.debug("HolmesGPT at %s: %s", self._url, error)
            self._count.labels("failed").inc()
            return False
        if answer.status_code == HTTPStatus.NOT_FOUND:
            if not self._absent:
                log.info("HolmesGPT has no %s: its own refresh interval does it", PATH)
            self._absent = True
            return True
        if not answer.ok:
            log.warning("HolmesGPT answered %s with status %d", self._url, answer.status_code)
            self._count.labels("failed").inc()
            return False
        self._absent = False
        self._count.labels("success").inc()
        log.info("HolmesGPT read its toolsets anew")
        return True
