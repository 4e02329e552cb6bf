"""Logging: one line an event, text for people or JSON for collectors (``LOG_FORMAT=json``)."""

from __future__ import annotations

import logging
import sys
import time

from pythonjsonlogger.json import JsonFormatter

from toolset.text import printable

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")

MAX_LINE = 2000
"""Characters of a message that are shown: what comes from a cluster may be of any length."""


class _TextFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Control characters are escaped, so that no name from a cluster can forge a line."""
        record.message = printable(record.message, MAX_LINE)
        return super().formatMessage(record)


def set_up(log_format: str = "text", level: str = "info") -> None:
    """Sends all logging to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}",
                style="{",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
                timestamp=False,
            )
        )
    else:
        handler.setFormatter(_TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # The clients' own chatter (connection retries, TLS warnings) is told by us, with its meaning.
    for noisy in ("urllib3", "asyncio", "kubernetes", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
