"""What the service's parts that run beside its loop have in common."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Part(ABC):
    """Something with a thread of its own, from :meth:`start` to :meth:`stop`."""

    def __init__(self, name: str) -> None:
        self.name = name
        """What it is called in messages."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether it was started, and runs still."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Returns at once. The thread is made here: one made before a fork counts as ended after it."""
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    @abstractmethod
    def stop(self) -> None:
        """Lets what is under way end, and the thread with it."""

    @abstractmethod
    def _run(self) -> None:
        """Until it is stopped; never raises."""

    def _join(self, timeout: float) -> None:
        """Waits for the thread's end, at most so many seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
