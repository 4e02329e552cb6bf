"""Threads of the service's parts."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Runner:
    """A daemon thread that is made when it is started: one made before a fork counts as ended after it."""

    def __init__(self, name: str, target: Callable[[], object]) -> None:
        self.name = name
        self._target = target
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether it was started, and runs still."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Returns at once."""
        self._thread = threading.Thread(target=self._target, name=self.name, daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Waits for its end, at most so many seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
