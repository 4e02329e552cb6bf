"""When the loop acts: a burst of changes is one pass, and nothing waits for long."""

from __future__ import annotations

import threading
import time

SETTLE_SECONDS = 0.2
"""After the last change of a burst."""

LONGEST_SECONDS = 2.0
"""After the first: a burst that does not end is acted upon all the same."""


class Trigger:
    """Collects changes; pulled by any thread, looked at by the loop."""

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._first = self._last = 0.0
        self._pulled = False
        self._whole = False

    def pull(self, *, whole: bool = False) -> None:
        """Something changed; with ``whole`` everything is to be looked at anew."""
        now = time.monotonic()
        with self._lock:
            if not self._pulled:
                self._first = now
            self._last, self._pulled, self._whole = now, True, self._whole or whole
        self.wake()

    def wake(self) -> None:
        """The loop shall look around, though nothing that needs a pass is known to have changed."""
        self._woken.set()

    @property
    def pulled(self) -> bool:
        """Whether there is something to act upon."""
        return self._pulled

    def ripe(self) -> bool:
        """Whether it is time to act."""
        with self._lock:
            return self._pulled and self._left() <= 0

    def _left(self) -> float:
        return min(self._last + SETTLE_SECONDS, self._first + LONGEST_SECONDS) - time.monotonic()

    def take(self) -> bool:
        """It is acted upon now; returns whether everything is to be looked at anew."""
        with self._lock:
            whole, self._pulled, self._whole = self._whole, False, False
        return whole

    def wait(self, seconds: float) -> None:
        """Until something is pulled or woken, what was pulled is ripe, or so many seconds have passed."""
        with self._lock:
            seconds = min(seconds, max(0.0, self._left())) if self._pulled else seconds
        self._woken.wait(max(0.0, seconds))
        self._woken.clear()
