"""Gunicorn's settings that hold for every server of ours, and its words in our log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger


class QuietLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's words in our format; what it says of starting and stopping is of no use to operators."""

    def setup(self, cfg: Any) -> None:
        """Takes gunicorn's own handlers away."""
        del cfg
        self.error_log.handlers = []
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)
        self.access_log.handlers = []
        self.access_log.propagate = False


SETTINGS: dict[str, Any] = {
    # One worker: docs/decisions/0003-one-worker.md.
    "workers": 1,
    "logger_class": QuietLogger,
    # It would lie below $HOME, which is read-only in a pod; nobody needs it.
    "control_socket_disable": True,
    "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 - heartbeat file
    "proc_name": "dynamic-toolset",
}
