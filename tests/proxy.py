"""A TCP proxy that breaks as networks do: loses what it carries without a word, or cuts everybody off."""

import asyncio
import gc
import json
import threading
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any


class State(Enum):
    """What becomes of connections."""

    PASSING = auto()
    SILENT = auto()
    """They stay open, and nothing comes through: no data, no FIN, no RST. New ones fare no better."""
    CUT = auto()
    """They are closed, and new ones at once."""


class Proxy:
    """Listens at ``address`` and passes on to ``target``, both HOST:PORT, until it is told otherwise."""

    def __init__(self, target: str, source: str) -> None:
        """``source`` is the address that the target sees: so its log tells who came this way."""
        self.address = ""
        self._target = target
        self._source = source
        self._state = State.PASSING
        self._age = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")

    def start(self) -> None:
        """Returns when it listens."""
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        """Ends, and so do all connections."""
        self.cut()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._open.clear()
        self._tasks.clear()
        # What was being accepted in the last moment is nobody's any more; it is no fault of what is tested.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def swallow(self) -> None:
        """From now on nothing comes through."""
        self._run(self._become(State.SILENT))

    def cut(self) -> None:
        """From now on everybody is hung up on."""
        self._run(self._become(State.CUT))

    def heal(self) -> None:
        """New connections work again. Those of before stay silent for ever: it has forgotten them."""
        self._run(self._become(State.PASSING))

    def kubeconfig(self, original: Path) -> Path:
        """A kubeconfig like this one, whose way leads through here."""
        config = json.loads(original.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://{self.address}"
        path = original.with_suffix(".by-proxy.kubeconfig")
        path.write_text(json.dumps(config))
        return path

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"

    async def _become(self, state: State) -> None:
        self._state = state
        self._age += 1
        if state is State.CUT:
            for writer in self._open:
                writer.transport.abort()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for _ in range(5):  # who was being accepted when the door was closed comes in a moment later
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0.02)  # aborted connections are told that they are lost

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # the loop itself holds those that wait only weakly
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # it is stopped
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._state is State.CUT:
            return
        host, _, port = self._target.rpartition(":")
        age = self._age if self._state is State.PASSING else -1
        try:
            there, back = await asyncio.open_connection(host, int(port), local_addr=(self._source, 0))
        except OSError:
            return  # as a balancer does whose server is away
        self._open |= {writer, back}
        try:
            await asyncio.gather(self._carry(reader, back, age), self._carry(there, writer, age))
        finally:
            self._open -= {writer, back}
            back.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, age: int) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if age == self._age:
                    writer.write(data)
                    await writer.drain()
        if age == self._age:
            with suppress(OSError):
                writer.write_eof()
        elif self._state is not State.CUT:
            await asyncio.Event().wait()  # who was forgotten is not told of the end either


@contextmanager
def proxy_to(url: str, source: str = "127.0.0.77") -> Iterator[Proxy]:
    """A proxy before the server of an ``https://HOST:PORT`` URL."""
    proxy = Proxy(url.removeprefix("https://"), source)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
