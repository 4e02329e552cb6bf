"""The connection to one Service while it is asked: what it answered, what fails, whose certificate is whose.

One question is never put twice to the same Service in one look at it, whatever asks it.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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

NO_HEADERS: Headers = ()

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Whose certificate nobody vouches for is told so in the verdict; what it says is still worth hearing.
_UNVERIFIED = ssl.create_default_context()
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer: why, and whether another try at the same port is pointless."""

    reason: str


@dataclass
class Line:
    """The connection to one Service: remembers answers, ports that fail, and certificates."""

    session: aiohttp.ClientSession
    candidate: Candidate
    domain: str
    timeout: float
    tls: ssl.SSLContext
    until: float
    answers: dict[tuple[Scheme, int, str, Headers], Answer] = field(default_factory=dict)
    said: dict[tuple[Scheme, int, bytes], Answer] = field(default_factory=dict)
    dead: dict[tuple[Scheme, int], Failure] = field(default_factory=dict)
    unverified: set[int] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)
    """What was asked and what came, for people; a line each."""

    async def get(
        self, scheme: Scheme, port: int, path: str, headers: Headers = NO_HEADERS
    ) -> Answer | Failure:
        """The answer to a GET request, or why there is none.

        Raises:
            TimeoutError: the time of the Service is up. Its own timeout cannot be relied on for that: one
                that passes at the same moment as that of a probe is lost in it.
        """
        if time.monotonic() >= self.until:
            raise TimeoutError
        if (scheme, port) in self.dead:
            return self.dead[scheme, port]
        if (scheme, port, path, headers) not in self.answers:
            try:
                answer = await self._get(scheme, port, path, headers)
            except TimeoutError:
                # Whatever a port that accepts and never answers speaks, it is not asked again.
                failure = Failure(f"no answer within {self.timeout:g} s")
                self.trace.append(f"GET {scheme}://…:{port}{path}: {failure.reason}")
                self.dead |= {("http", port): failure, ("https", port): failure}
                return failure
            except (aiohttp.ClientError, OSError, ValueError) as error:
                self.dead[scheme, port] = Failure(_reason(error))
                self.trace.append(f"GET {scheme}://…:{port}{path}: {self.dead[scheme, port].reason}")
                return self.dead[scheme, port]
            self.trace.append(f"GET {scheme}://…:{port}{path}: {_described(answer)}")
            self.answers[scheme, port, path, headers] = answer
        return self.answers[scheme, port, path, headers]

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
                body = await self._converse(scheme, port, exchange.send or b"", expect)
            except (OSError, TimeoutError) as error:
                self.dead[scheme, port] = Failure(
                    f"cannot connect: {error or f'no answer within {self.timeout:g} s'}"
                )
                return self.dead[scheme, port]
            self.trace.append(f"{scheme} port {port}, {len(send)} bytes sent: {len(body)} bytes came")
            self.said[scheme, port, send] = Answer(0, body=body)
            if exchange.once:
                wire.MEMORY.keep(service.uid or service.key, port, body)
        return self.said[scheme, port, send]

    async def _converse(
        self, scheme: Scheme, port: int, send: bytes, expect: Sequence[re.Pattern[bytes]]
    ) -> bytes:
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

    async def _get(self, scheme: Scheme, port: int, path: str, headers: Headers) -> Answer:
        if scheme == "https" and port not in self.unverified:
            try:
                return await self._send(scheme, port, path, headers, self.tls)
            except aiohttp.ClientConnectorCertificateError:
                self.unverified.add(port)
        return await self._send(scheme, port, path, headers, False)

    async def _send(
        self, scheme: Scheme, port: int, path: str, headers: Headers, tls: ssl.SSLContext | bool
    ) -> Answer:
        service = self.candidate.service
        name = service.host(self.domain)
        ip = ip_address(service.address)
        address = f"[{ip}]" if ip.version == 6 else str(ip)  # noqa: PLR2004 - IPv6
        host = name if port == _DEFAULT_PORTS[scheme] else f"{name}:{port}"
        async with self.session.get(
            URL(f"{scheme}://{address}:{port}{path}", encoded=True),
            headers={"Host": host, **dict(headers)},
            server_hostname=name if scheme == "https" else None,
            ssl=tls,
            allow_redirects=False,
            # Over the whole exchange: a server that drips a byte a second defeats a timeout per read.
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        ) as response:
            body, truncated = await _read(response.content)
            came = tuple((key.lower(), value) for key, value in response.headers.items())
            return Answer(response.status, came, body, truncated)


async def _read(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    try:
        return (await content.readexactly(MAX_BODY + 1))[:MAX_BODY], True
    except asyncio.IncompleteReadError as end:
        return end.partial, False


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
    return f"no HTTP answer: {type(error).__name__}"
