"""Small real servers on loopback addresses of their own, which answer well, badly, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SELF_SIGNED = Path(__file__).with_name("self_signed.pem")
"""A certificate for ``*.shop.svc.cluster.local`` and its key."""

_TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True)
class Request:
    """What a server was asked. Header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A running server: where it is, and what it saw."""

    ip: str
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    sni: list[str | None] = field(default_factory=list)
    sent: int = 0

    @property
    def url(self) -> str:
        """Its address, for another server to point at."""
        return f"http://{self.ip}:{self.port}"

    @property
    def targets(self) -> list[str]:
        """The paths that it was asked for, in order."""
        return [request.target for request in self.requests]


class Farm:
    """A thread in which any number of servers run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._addresses = (f"127.77.{n // 250}.{n % 250 + 1}" for n in itertools.count())
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None] | None] = set()

    def serve(self, behaviour: Behaviour, *, tls: bool = False, ip: str = "") -> Server:
        """Starts a server at an address and port that nobody else has."""
        server = Server(ip or next(self._addresses))
        self._run(self._start(server, behaviour, tls)).result()
        return server

    def refuse(self) -> Server:
        """An address and port where nobody listens."""
        server = self.serve(hang)
        self._run(_close(self._servers.pop())).result()
        return server

    def stop(self) -> None:
        """Ends all servers and what they still do."""
        self._run(self._stop()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, what: Any) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(what, self._loop)

    async def _start(self, server: Server, behaviour: Behaviour, tls: bool) -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            self._tasks.add(task)  # the loop itself holds those that hang only weakly
            try:
                await _serve(server, behaviour, reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                self._tasks.discard(task)
                writer.transport.abort()

        context = _tls(server) if tls else None
        listening = await asyncio.start_server(handle, server.ip, 0, ssl=context)
        server.port = listening.sockets[0].getsockname()[1]
        self._servers.append(listening)

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted connections are told that they are lost


async def _close(server: asyncio.Server) -> None:
    server.close()


def _tls(server: Server) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)

    def remember(_: Any, name: str | None, __: Any) -> None:
        server.sni.append(name)

    context.sni_callback = remember
    return context


async def _serve(
    server: Server, behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    first = await reader.readexactly(1)
    if first == _TLS_HANDSHAKE:
        return
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    request = Request(method, target, {name.lower(): value for name, value in headers.items()})
    server.requests.append(request)
    await behaviour(request, _Counting(server, writer))  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
        await writer.drain()
        await reader.read()  # until the client has read all and closes


class _Counting:
    """A writer that counts what it sends."""

    def __init__(self, server: Server, writer: asyncio.StreamWriter) -> None:
        self._server, self._writer = server, writer

    def write(self, data: bytes) -> None:
        self._server.sent += len(data)
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()


def response(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """An HTTP answer; ``content_type="text/html"`` is the header ``content-type``."""
    fields = {"Content-Length": str(len(body)), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body


def always(answer: bytes) -> Behaviour:
    """The same bytes to every request, HTTP or not; none at all is a connection that is closed at once."""

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return behave


def routes(answers: Mapping[str, bytes], otherwise: bytes = response(b"not here", 404)) -> Behaviour:
    """Each path its own answer."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.get(request.target, otherwise))
        await writer.drain()

    return behave


async def hang(_: Request, __: asyncio.StreamWriter) -> None:
    """Accepts, and never answers."""
    await asyncio.Event().wait()


def endless(start: bytes, more: bytes, pause: float = 0) -> Behaviour:
    """``start``, and then ``more`` for ever."""

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def large(size: int) -> Behaviour:
    """A body of so many bytes."""

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(response(Content_Length=str(size)))
        for _piece in range(size // 65536):
            writer.write(b"0" * 65536)
            await writer.drain()

    return behave
