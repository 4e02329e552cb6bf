"""How long to wait before something is tried again."""

from __future__ import annotations

import random


class Backoff:
    """Doubles from ``initial`` to ``maximum`` seconds, with jitter; never gives up.

    Jitter keeps many clients from coming back to a server in the same moment.
    """

    def __init__(self, initial: float, maximum: float) -> None:
        self._initial = initial
        self._maximum = maximum
        self.failures = 0

    def next(self) -> float:
        """Counts a failure, and gives the seconds to wait."""
        seconds: float = min(self._maximum, self._initial * 2 ** min(self.failures, 30))
        self.failures += 1
        return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - nothing secret

    def reset(self) -> None:
        """It worked: the next failure is the first again."""
        self.failures = 0
