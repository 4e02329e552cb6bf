"""Asks over TCP what no HTTP request can: sends a few bytes, or none, and reads what comes.

Knows no protocol; the catalogue says what to send and what to expect. Like every probe it has a total
deadline and a byte limit: a server that drips a byte a second defeats a timeout per read.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_REMEMBERED = 10_000
"""Answers kept of servers that are asked only once; the oldest go first."""

_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to; ``name`` is what a certificate has to be for."""

    ip: str
    port: int
    name: str
    tls: ssl.SSLContext | None = None


@dataclass
class Memory:
    """What servers answered that must not be asked twice, for as long as the process lives.

    Some count a visitor who says nothing as a failed connection, and lock his host out after enough
    of them, real clients behind the same address included.
    """

    answers: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def keep(self, service: str, port: int, answer: bytes) -> None:
        """Remembers the answer of one Service's port; ``service`` changes when the Service does."""
        while len(self.answers) >= MAX_REMEMBERED:
            del self.answers[next(iter(self.answers))]
        self.answers[service, port] = answer


MEMORY = Memory()
"""The process' own: it outlives every change of configuration."""


async def converse(
    address: Address, send: bytes, expect: Sequence[re.Pattern[bytes]], *, timeout: float, limit: int
) -> tuple[bytes, bool]:
    """Sends, and reads until what came is one of what was expected, the other side closes, or time is up.

    Silence is an answer too: empty bytes. With what came it is told whether the other side closed.

    Raises:
        OSError: no connection (ssl.SSLError included).
        TimeoutError: no connection in time.
    """
    received = b""
    connected = closed = False
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(
                address.ip,
                address.port,
                ssl=address.tls,
                server_hostname=address.name if address.tls else None,
            )
            connected = True
            try:
                writer.write(send)
                await writer.drain()
                while len(received) < limit and not any(it.search(received) for it in expect):
                    chunk = await reader.read(min(_CHUNK, limit - len(received)))
                    if not chunk:
                        closed = True
                        break
                    received += chunk
            finally:
                # Whoever speaks another protocol may be in the middle of a sentence: do not wait for it.
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        if not connected:
            raise
    except ConnectionError:
        if not connected:
            raise
        closed = True
    return received, closed
