"""Asks Services in the background, so that a slow or dead one delays nothing.

One event loop in a thread of its own; answers are taken from it by the thread that owns what is known.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator

import aiohttp

from sidecar.line import Sockets
from sidecar.prove import NetworkProber, Outcome, Prober, Question, Verdict, open_session

log = logging.getLogger(__name__)

SLOW_SECONDS = 0.5
"""A question that is not answered after so long gives its place to the next, and goes on beside it."""

MAX_OPEN = 1024
"""Questions open at a time, slow ones included: each holds a socket or two."""

MAX_OPEN_PER_NAMESPACE = 64
"""And of one namespace, so that thousands of somebody's that never answer keep nobody else's waiting."""

Answered = tuple[Question, Verdict]


class Asker:
    """Takes questions, gives answers; safe to call from several threads."""

    def __init__(self, notify: Callable[[], object] = lambda: None) -> None:
        """``notify`` is called when there is an answer to take."""
        self._notify = notify
        self._answers: queue.SimpleQueue[Answered] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._open = asyncio.Semaphore(MAX_OPEN)
        self._open_of: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets = Sockets()
        self._session: aiohttp.ClientSession | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread runs, or is not needed yet."""
        return self._thread is None or self._thread.is_alive()

    def submit(self, prober: Prober, questions: Iterable[Question]) -> None:
        """Asks them; returns at once."""
        if not isinstance(prober, NetworkProber):
            for question in questions:
                self._answer(question, prober.ask([question])[0])
            return
        loop = self._running()
        places = asyncio.Semaphore(prober.concurrency)
        for question in questions:
            loop.call_soon_threadsafe(self._spawn, loop, prober, places, question)

    def _running(self) -> asyncio.AbstractEventLoop:
        """Made when it is first needed: a loop does not survive the fork of a worker."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="prober", daemon=True)
            self._thread.start()
        return self._loop

    def take(self) -> Iterator[Answered]:
        """The answers that came since the last time."""
        while True:
            try:
                yield self._answers.get_nowait()
            except queue.Empty:
                return

    def close(self) -> None:
        """Ends the thread; open questions are never answered."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await self._sockets.hang_up()

    def _spawn(
        self,
        loop: asyncio.AbstractEventLoop,
        prober: NetworkProber,
        places: asyncio.Semaphore,
        question: Question,
    ) -> None:
        self._session = self._session or open_session(self._sockets)
        task = loop.create_task(self._ask(prober, self._session, places, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(
        self,
        prober: NetworkProber,
        session: aiohttp.ClientSession,
        places: asyncio.Semaphore,
        question: Question,
    ) -> None:
        namespace = question.candidates[0].service.namespace
        # Held by those who wait for it; gone with the last of them.
        own = self._open_of.setdefault(namespace, asyncio.Semaphore(MAX_OPEN_PER_NAMESPACE))
        async with own, self._open:
            await places.acquire()
            loop = asyncio.get_running_loop()
            slow = loop.call_later(SLOW_SECONDS, places.release)
            try:
                verdict = await prober.ask_one(session, question)
            except Exception as error:
                log.exception("a probe failed by a bug, please report it")
                first = question.candidates[0]
                verdict = Verdict(first, first.endpoints[0], Outcome.UNREACHABLE, evidence=(repr(error),))
            finally:
                if slow.when() > loop.time():
                    slow.cancel()
                    places.release()
        self._answer(question, verdict)

    def _answer(self, question: Question, verdict: Verdict) -> None:
        self._answers.put((question, verdict))
        self._notify()
