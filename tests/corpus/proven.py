"""What the service makes of the corpus when it may ask: each Service answered by its stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

from sidecar.config import Config
from sidecar.discovery import Discoverer
from sidecar.prove import NetworkProber
from sidecar.recognised import recognise
from tests.corpus.offline import DOMAIN
from tests.corpus.recordings import Voice
from tests.corpus.score import Choice, Key, Record, clusters
from tests.corpus.standins import voices
from tests.unit.servers import SELF_SIGNED
from toolset.catalogue import bundled
from toolset.discovered import Discovered, Discovery
from toolset.service import Service

TIMEOUT = 1.0
_CHUNK = 65536
_FOREVER = 3600
_NET = f"127.{64 + os.getpid() % 180}"


def can_listen() -> bool:
    """Whether the system lets us have port 80, as half of the Services do."""
    try:
        socket.create_server((f"{_NET}.0.1", 80)).close()
    except OSError:
        return False
    return True


Speakers = Callable[[Record], Mapping[int, Voice | None]]
"""Who answers on each port of a Service."""


def discoveries(
    records: Iterable[Record], speakers: Speakers = voices, timeout: float = TIMEOUT
) -> Iterator[tuple[str, Discovery]]:
    """One look at each cluster."""
    for cluster, rows in clusters(records).items():
        with standing(rows, speakers) as services:
            recognised = recognise(services, bundled(), Config(), DOMAIN)
            prober = NetworkProber(cluster_domain=DOMAIN, timeout=timeout)
            yield cluster, Discoverer(Config()).discover(recognised, prober, 0.0)


def choice(cluster: str, found: Discovered) -> Choice:
    """As the scorer takes it."""
    key = Key(cluster, found.service.namespace, found.service.name)
    return Choice(key, found.type, found.endpoint.url(found.service.host(DOMAIN)))


def choices(records: Iterable[Record]) -> Iterator[Choice]:
    """What is proven in all clusters."""
    for cluster, discovery in discoveries(records):
        yield from (choice(cluster, found) for found in discovery.discovered)


def headless(records: Iterable[Record]) -> int:
    """Services that have no ClusterIP, and are given an address here all the same."""
    return sum(1 for it in records if it["service"]["spec"].get("clusterIP") == "None")


@contextmanager
def standing(records: Iterable[Record], speakers: Speakers) -> Iterator[list[Service]]:
    """The Services of one cluster, each at a loopback address of its own, where its stand-in answers."""
    places = [
        (f"{_NET}.{number // 250}.{number % 250 + 1}", record)
        for number, record in zip(count(), records, strict=False)
    ]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers: list[asyncio.Server] = []
    try:
        asyncio.run_coroutine_threadsafe(_listen(places, speakers, servers), loop).result()
        yield [replace(Service.from_object(record["service"]), cluster_ip=ip) for ip, record in places]
    finally:
        asyncio.run_coroutine_threadsafe(_quiet(servers), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(
    places: list[tuple[str, Record]], speakers: Speakers, servers: list[asyncio.Server]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)
    for ip, record in places:
        for port, voice in speakers(record).items():
            if voice is not None:
                tls = context if voice.tls else None
                servers.append(await asyncio.start_server(_speaker(voice), ip, port, ssl=tls))


async def _quiet(servers: list[asyncio.Server]) -> None:
    for server in servers:
        server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _speaker(voice: Voice) -> Handler:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await _talk(voice, reader, writer)
        writer.transport.abort()

    return speak


async def _talk(voice: Voice, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if greeting := voice.wire.get(b"", b""):
        writer.write(greeting)
        await reader.read(_CHUNK)
        return
    asked = await reader.read(_CHUNK)
    if voice.server == "never answers":
        await asyncio.sleep(_FOREVER)  # the loop holds it, unlike who waits for nothing
    if not asked.startswith((b"GET ", b"POST ", b"DELETE ")):
        writer.write(voice.wire.get(asked, b""))
    elif voice.replies:
        lines = asked.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        reply = (
            voice.reply(target, headers.get("Accept", ""))
            if method == "GET"
            else voice.answer(method, target)
        )
        writer.write(_http(*reply))
    await writer.drain()
    if voice.replies or voice.wire:
        if writer.can_write_eof():
            writer.write_eof()
        await reader.read(_CHUNK)


def _http(status: int, headers: object, body: str) -> bytes:
    pairs = headers.items() if isinstance(headers, dict) else headers
    head = "".join(f"{name}: {value}\r\n" for name, value in pairs)  # type: ignore[attr-defined]
    sent = body.encode()
    length = "" if status == 204 else f"Content-Length: {len(sent)}\r\n"
    return f"HTTP/1.1 {status} Whatever\r\n{head}{length}Connection: close\r\n\r\n".encode() + sent
