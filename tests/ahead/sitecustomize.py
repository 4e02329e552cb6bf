"""Python runs this first where the directory is on PYTHONPATH: the process' wall clock is an hour ahead.

(libfaketime 0.9.10 would do it from outside, but lets every sleep fail in Python >= 3.11. The monotonic
clock is left alone: nobody can set it.)
"""

import datetime as dt
import time

AHEAD_SECONDS = 3600.0

_now = time.time


class _Ahead(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "_Ahead":
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: _now() + AHEAD_SECONDS
dt.datetime = _Ahead  # type: ignore[misc]
