"""The connection to one Service while it is asked: what it answered, what fails, whose certificate is whose.

One question is never put twice to the same Service in one look at it, whatever asks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import time
import weakref
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import aiohttp
from yarl import URL

from sidecar import wire
from toolset.backend import Exchange, Scheme
from toolset.classify import Candidate, Endpoint
from toolset.proof import Answer
from toolset.text import printable

MAX_BODY = 64 * 1024
"""Bytes read of an answer. No proof of the catalogue needs more."""

Headers = tuple[tuple[str, str], ...]

_Responding = AbstractAsyncContextManager[aiohttp.ClientResponse]

_FAREWELL = 1.0
"""Seconds for connections to be torn down. They are at once; this ends the wait if ever one is not."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Whose certificate nobody vouches for is told so in the verdict; what it says is still worth hearing.
_UNVERIFIED = ssl.create_default_context()
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer: why, and whether another try at the same port is pointless."""

    reason: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the Service. ``until``: text after which an answer that goes on is not read further."""

    scheme: Scheme
    port: int
    path: str
    headers: Headers = ()
    method: str = "GET"
    body: str = ""
    session: str = ""
    until: re.Pattern[str] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.scheme}://…:{self.port}{self.path}"


class NoAnswerError(OSError):
    """Somebody between here and the Service says why there is no answer."""


class Sockets:
    """The sockets that HTTP is spoken over, so that none outlives the event loop of its pass."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def __call__(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """A new one, as aiohttp wants it."""
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._open.add(made)
        return made

    async def hang_up(self) -> None:
        """Ends what is still being ended: TLS waits for the other side's farewell (RFC 8446, 6.1)."""
        for each in self._still_open():
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + _FAREWELL
        while self._still_open() and time.monotonic() < until:
            await asyncio.sleep(0)

    def _still_open(self) -> list[socket.socket]:
        return [each for each in self._open if each.fileno() >= 0]


@dataclass
class Line:
    """The connection to one Service: remembers answers, ports that fail, and certificates."""

    session: aiohttp.ClientSession
    candidate: Candidate
    domain: str
    timeout: float
    tls: ssl.SSLContext
    until: float
    answers: dict[Request, Answer] = field(default_factory=dict)
    said: dict[tuple[Scheme, int, bytes], Answer] = field(default_factory=dict)
    dead: dict[tuple[Scheme, int], Failure] = field(default_factory=dict)
    unverified: set[int] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)
    """What was asked and what came, for people; a line each."""

    async def ask(self, request: Request) -> Answer | Failure:
        """The answer to a request, or why there is none.

        Raises:
            TimeoutError: the time of the Service is up. Its own timeout cannot be relied on for that: one
                that passes at the same moment as that of a probe is lost in it.
        """
        if time.monotonic() >= self.until:
            raise TimeoutError
        scheme, port = request.scheme, request.port
        if (scheme, port) in self.dead:
            return self.dead[scheme, port]
        if request not in self.answers:
            try:
                answer = await self._ask(request)
            except TimeoutError:
                # Whatever a port that accepts and never answers speaks, it is not asked again.
                failure = Failure(f"no answer within {self.timeout:g} s")
                self.trace.append(f"{request}: {failure.reason}")
                self.dead |= {("http", port): failure, ("https", port): failure}
                return failure
            except (aiohttp.ClientError, OSError, ValueError) as error:
                self.dead[scheme, port] = Failure(_reason(error))
                self.trace.append(f"{request}: {self.dead[scheme, port].reason}")
                return self.dead[scheme, port]
            self.trace.append(f"{request}: {_described(answer)}")
            self.answers[request] = answer
        return self.answers[request]

    async def converse(
        self, endpoint: Endpoint, exchange: Exchange, expect: Sequence[re.Pattern[bytes]]
    ) -> Answer | Failure:
        """An exchange of another protocol than HTTP; the same one is not repeated.

        ``expect`` are all answers after which there is nothing to wait for.

        Raises:
            TimeoutError: as :meth:`get`.
        """
        if time.monotonic() >= self.until:
            raise TimeoutError
        scheme, port, send = endpoint.scheme, endpoint.port, exchange.send or b""
        if (scheme, port) in self.dead:
            return self.dead[scheme, port]
        service = self.candidate.service
        remembered = wire.MEMORY.answers.get((service.uid or service.key, port)) if exchange.once else None
        if remembered is not None:
            return Answer(0, body=remembered)
        if (scheme, port, send) not in self.said:
            try:
                body, closed = await self._converse(scheme, port, send, expect)
            except (OSError, TimeoutError) as error:
                self.dead[scheme, port] = Failure(
                    f"cannot connect: {error or f'no answer within {self.timeout:g} s'}"
                )
                return self.dead[scheme, port]
            self.trace.append(f"{scheme} port {port}, {len(send)} bytes sent: {len(body)} bytes came")
            self.said[scheme, port, send] = Answer(0, body=body, closed=closed)
            if exchange.once:
                wire.MEMORY.keep(service.uid or service.key, port, body)
        return self.said[scheme, port, send]

    async def _converse(
        self, scheme: Scheme, port: int, send: bytes, expect: Sequence[re.Pattern[bytes]]
    ) -> tuple[bytes, bool]:
        service = self.candidate.service
        name = service.host(self.domain)
        contexts = [self.tls, _UNVERIFIED] if scheme == "tls" else [None]
        for context in contexts:
            address = wire.Address(service.address, port, name, context)
            try:
                return await wire.converse(address, send, expect, timeout=self.timeout, limit=MAX_BODY)
            except ssl.SSLCertVerificationError:
                self.unverified.add(port)
        raise OSError("its certificate is not for it")

    async def _ask(self, request: Request) -> Answer:
        if request.scheme == "https" and request.port not in self.unverified:
            try:
                return await self._send(request, self.tls)
            except aiohttp.ClientConnectorCertificateError:
                self.unverified.add(request.port)
        return await self._send(request, False)

    async def _send(self, request: Request, tls: ssl.SSLContext | bool) -> Answer:
        async with self._request(request, tls) as response:
            body, truncated = await _read(response.content, request.until)
            came = tuple((key.lower(), value) for key, value in response.headers.items())
        answer = Answer(response.status, came, body, truncated)
        if request.session and (named := answer.values(request.session)):
            await self._end(request, named[0], tls)
        return answer

    async def _end(self, request: Request, session: str, tls: ssl.SSLContext | bool) -> None:
        """Ends what a greeting has begun; a server that does not know how ends it by itself."""
        headers = (*request.headers, (request.session, session))
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError, TimeoutError):
            async with self._request(replace(request, method="DELETE", body="", headers=headers), tls):
                pass

    def _request(self, request: Request, tls: ssl.SSLContext | bool) -> _Responding:
        service = self.candidate.service
        name = service.host(self.domain)
        ip = ip_address(service.address)
        address = f"[{ip}]" if ip.version == 6 else str(ip)  # noqa: PLR2004 - IPv6
        own_port = request.port == _DEFAULT_PORTS[request.scheme]
        kind = {"Content-Type": "application/json"} if request.body else {}
        return self.session.request(
            request.method,
            URL(f"{request.scheme}://{address}:{request.port}{request.path}", encoded=True),
            data=request.body or None,
            headers={"Host": name if own_port else f"{name}:{request.port}", **kind, **dict(request.headers)},
            server_hostname=name if request.scheme == "https" else None,
            ssl=tls,
            allow_redirects=False,
            # Over the whole exchange: a server that drips a byte a second defeats a timeout per read.
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        )


async def _read(content: aiohttp.StreamReader, until: re.Pattern[str] | None) -> tuple[bytes, bool]:
    """What came, and whether there is more; of a stream of events up to the one that is waited for."""
    body = b""
    while len(body) <= MAX_BODY:
        chunk = await content.read(MAX_BODY + 1 - len(body))
        if not chunk:
            return body, False
        body += chunk
        if until is not None and until.search(body.decode("utf-8", "replace")):
            return body, False
    return body[:MAX_BODY], True


def _described(answer: Answer) -> str:
    """Never the body: it may hold a whole configuration."""
    kind = next(iter(answer.values("content-type")), "no content type")
    return printable(f"status {answer.status}, {kind}, {len(answer.body)} bytes", 120)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio words the error itself; the system's own words say why.
        number = error.os_error.errno
        return f"cannot connect: {os.strerror(number) if number else error.os_error}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    if isinstance(error, NoAnswerError):
        return printable(str(error), 300)
    return f"no HTTP answer: {type(error).__name__}"
