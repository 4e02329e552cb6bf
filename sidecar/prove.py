"""Asks candidates what they are: concurrent probes, each within a total deadline and a byte limit.

A probe connects to the Service's ClusterIP and names the Service's DNS name in Host and SNI: no DNS
is asked, so nothing can be rebound, and it takes exactly the path of HolmesGPT's own requests. It
sends GET only, follows no redirect and carries no credential. An address that has not proven what it
is gets no query: ClickHouse runs ``?query=`` on any path.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_address
from string import Template
from typing import Protocol

import aiohttp
from yarl import URL

from toolset import __version__
from toolset.backend import Exchange
from toolset.classify import Candidate, Endpoint, Scheme
from toolset.proof import Answer, leaked_prefix, why_not

MAX_BODY = 64 * 1024
"""Bytes read of an answer. No proof of the catalogue needs more."""

CANDIDATE_TIMEOUTS = 3
"""A Service's probes may take this many times the timeout of one, all of its ports and schemes included."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADERS = {
    "Accept": "application/json, text/plain;q=0.9, */*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": f"kubernaut-dynamic-toolsets/{__version__}",
}


class Outcome(StrEnum):
    """What asking a Service led to."""

    VERIFIED = "verified"
    NEEDS_CREDENTIALS = "needs_credentials"
    NOT_SERVING = "not serving"
    MISMATCH = "mismatch"
    UNREACHABLE = "unreachable"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a Service after asking: the candidate and endpoint that it is about.

    ``proof`` is the part of ``evidence`` that showed what it is; empty where nothing did.
    """

    candidate: Candidate
    endpoint: Endpoint
    outcome: Outcome
    verify_ssl: bool = True
    evidence: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A Service's candidates, the likeliest first; or the endpoint that is proven, to ask its health."""

    candidates: tuple[Candidate, ...]
    proven: Verdict | None = None


class Prober(Protocol):
    """Answers questions about Services, one verdict each, in order."""

    asks: bool
    """Whether anything is sent; if so, a Service needs an address."""

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        """Asks them all; slow ones delay no other's verdict beyond the deadline of one Service."""


class NoProber:
    """Takes the likeliest candidate and endpoint on trust."""

    asks = False

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict each, nothing sent."""
        return [
            Verdict(q.candidates[0], q.candidates[0].endpoints[0], Outcome.NOT_ASKED, evidence=("not asked",))
            for q in questions
        ]


class NetworkProber:
    """Asks over the network."""

    asks = True

    def __init__(
        self,
        *,
        cluster_domain: str,
        timeout: float = 5.0,
        concurrency: int = 64,
        observe: Callable[[float, int, int], object] = lambda *_: None,
    ) -> None:
        self._domain = cluster_domain
        self._timeout = timeout
        self._concurrency = concurrency
        self._observe = observe
        self._verified_tls = ssl.create_default_context()

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict each. ``observe`` is told the seconds of each, how many are done, and of how many."""
        return asyncio.run(self._ask_all(questions)) if questions else []

    async def _ask_all(self, questions: Sequence[Question]) -> list[Verdict]:
        at_once = asyncio.Semaphore(self._concurrency)
        done = itertools.count(1)
        # The environment's proxies and .netrc are not for the cluster's inside; no cookie is kept.
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=_HEADERS,
        ) as session:

            async def one(question: Question) -> Verdict:
                async with at_once:
                    started = time.monotonic()
                    verdict = await self._judge(session, question)
                    self._observe(time.monotonic() - started, next(done), len(questions))
                    return verdict

            return await asyncio.gather(*map(one, questions))

    async def _judge(self, session: aiohttp.ClientSession, question: Question) -> Verdict:
        limit = self._timeout * CANDIDATE_TIMEOUTS
        until = time.monotonic() + limit
        line = _Line(session, question.candidates[0], self._domain, self._timeout, self._verified_tls, until)
        best: Verdict | None = None
        try:
            async with asyncio.timeout(limit):
                if question.proven is not None:
                    return await _check(line, question.proven)
                for candidate in question.candidates:
                    verdict = await _prove(line, candidate)
                    if verdict.outcome in {Outcome.VERIFIED, Outcome.NEEDS_CREDENTIALS}:
                        return verdict
                    best = _better(best, verdict)
        except TimeoutError:
            pass
        if best is not None:
            return best
        first = question.proven or Verdict(
            question.candidates[0], question.candidates[0].endpoints[0], Outcome.UNREACHABLE
        )
        return Verdict(
            first.candidate,
            first.endpoint,
            Outcome.UNREACHABLE,
            first.verify_ssl,
            (f"no verdict within {limit:g} s",),
        )


@dataclass(frozen=True, slots=True)
class _Failure:
    """No answer: why, and whether another try at the same port is pointless."""

    reason: str


@dataclass
class _Line:
    """The connection to one Service: remembers answers, ports that fail, and certificates."""

    session: aiohttp.ClientSession
    candidate: Candidate
    domain: str
    timeout: float
    tls: ssl.SSLContext
    until: float
    answers: dict[tuple[Scheme, int, str], Answer] = field(default_factory=dict)
    dead: dict[tuple[Scheme, int], _Failure] = field(default_factory=dict)
    unverified: set[int] = field(default_factory=set)

    async def get(self, scheme: Scheme, port: int, path: str) -> Answer | _Failure:
        """An answer, or why there is none.

        Raises:
            TimeoutError: the time of the Service is up. Its own timeout cannot be relied on for that: one
                that passes at the same moment as that of a probe is lost in it.
        """
        if time.monotonic() >= self.until:
            raise TimeoutError
        if (scheme, port) in self.dead:
            return self.dead[scheme, port]
        if (scheme, port, path) not in self.answers:
            try:
                answer = await self._get(scheme, port, path)
            except TimeoutError:
                # Whatever a port that accepts and never answers speaks, it is not asked again.
                failure = _Failure(f"no answer within {self.timeout:g} s")
                self.dead |= {("http", port): failure, ("https", port): failure}
                return failure
            except (aiohttp.ClientError, OSError, ValueError) as error:
                self.dead[scheme, port] = _Failure(_reason(error))
                return self.dead[scheme, port]
            self.answers[scheme, port, path] = answer
        return self.answers[scheme, port, path]

    async def _get(self, scheme: Scheme, port: int, path: str) -> Answer:
        if scheme == "https" and port not in self.unverified:
            try:
                return await self._send(scheme, port, path, self.tls)
            except aiohttp.ClientConnectorCertificateError:
                self.unverified.add(port)
        return await self._send(scheme, port, path, False)

    async def _send(self, scheme: Scheme, port: int, path: str, tls: ssl.SSLContext | bool) -> Answer:
        service = self.candidate.service
        name = service.host(self.domain)
        ip = ip_address(service.cluster_ip)
        address = f"[{ip}]" if ip.version == 6 else str(ip)  # noqa: PLR2004 - IPv6
        async with self.session.get(
            URL(f"{scheme}://{address}:{port}{path}", encoded=True),
            headers={"Host": name if port == _DEFAULT_PORTS[scheme] else f"{name}:{port}"},
            server_hostname=name if scheme == "https" else None,
            ssl=tls,
            allow_redirects=False,
            # Over the whole exchange: a server that drips a byte a second defeats a timeout per read.
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        ) as response:
            body, truncated = await _read(response.content)
            headers = tuple((key.lower(), value) for key, value in response.headers.items())
            return Answer(response.status, headers, body, truncated)


async def _read(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    try:
        return (await content.readexactly(MAX_BODY + 1))[:MAX_BODY], True
    except asyncio.IncompleteReadError as end:
        return end.partial, False


async def _prove(line: _Line, candidate: Candidate) -> Verdict:
    """Tries the candidate's endpoints in order, and the prefix that the server itself discloses."""
    best: Verdict | None = None
    endpoints = list(candidate.endpoints)
    asked: set[Endpoint] = set()
    while endpoints:
        endpoint = endpoints.pop(0)
        if endpoint in asked:
            continue
        asked.add(endpoint)
        verdict = await _prove_endpoint(line, candidate, endpoint)
        if verdict.outcome in {Outcome.VERIFIED, Outcome.NEEDS_CREDENTIALS}:
            return verdict
        best = _better(best, verdict)
        if verdict.outcome is Outcome.MISMATCH and not endpoint.path and not candidate.wishes.address.path:
            endpoints[:0] = await _disclosed(line, endpoint)
    assert best is not None  # noqa: S101 - classify gives every candidate an endpoint
    return best


async def _disclosed(line: _Line, endpoint: Endpoint) -> list[Endpoint]:
    answer = await line.get(endpoint.scheme, endpoint.port, "/")
    prefix = leaked_prefix(answer) if isinstance(answer, Answer) else ""
    return [Endpoint(endpoint.scheme, endpoint.port, path) for path in _parents(prefix)]


def _parents(prefix: str) -> Iterator[str]:
    """``/prom/graph`` may be the prefix ``/prom/graph`` or a page of the prefix ``/prom``."""
    while prefix:
        yield prefix
        prefix = prefix.rpartition("/")[0]


async def _prove_endpoint(line: _Line, candidate: Candidate, endpoint: Endpoint) -> Verdict:
    backend = candidate.backend
    refused = ""
    reason = ""
    for proof in backend.proofs:
        held: list[str] = []
        for exchange in proof:
            answer = await _ask(line, candidate, endpoint, exchange)
            if isinstance(answer, _Failure):
                return _verdict(line, candidate, endpoint, Outcome.UNREACHABLE, answer.reason)
            lacking = why_not(exchange.expect, answer)
            if lacking:
                reason = reason or f"GET {_target(candidate, endpoint, exchange)}: {lacking}"
                if answer.asks_for_login:
                    refused = (
                        refused or f"GET {_target(candidate, endpoint, exchange)}: status {answer.status}"
                    )
                break
            held.append(f"GET {_target(candidate, endpoint, exchange)} answered as {backend.title} does")
        else:
            return await _check(line, Verdict(candidate, endpoint, Outcome.VERIFIED, proof=tuple(held)))
    if refused:
        return await _refusal(line, candidate, endpoint, refused)
    return _verdict(line, candidate, endpoint, Outcome.MISMATCH, reason)


async def _refusal(line: _Line, candidate: Candidate, endpoint: Endpoint, refused: str) -> Verdict:
    """Somebody asks for a login: does the product show itself by the way it does so?"""
    known = False
    for exchange in candidate.backend.refusals:
        answer = await _ask(line, candidate, endpoint, exchange)
        known = known or (isinstance(answer, Answer) and not why_not(exchange.expect, answer))
    mark = f"as {candidate.backend.title} does" if known else "the product cannot be told from that"
    return _verdict(line, candidate, endpoint, Outcome.NEEDS_CREDENTIALS, f"{refused}, {mark}")


async def _check(line: _Line, proven: Verdict) -> Verdict:
    """Asks the health of what has proven what it is, as HolmesGPT will."""
    candidate, endpoint = proven.candidate, proven.endpoint
    exchange = candidate.backend.health
    answer = await _ask(line, candidate, endpoint, exchange)
    asked = f"GET {_target(candidate, endpoint, exchange)}"
    if isinstance(answer, _Failure):
        outcome, said = Outcome.NOT_SERVING, answer.reason
    elif answer.asks_for_login:
        outcome, said = Outcome.NEEDS_CREDENTIALS, f"status {answer.status}"
    else:
        said = why_not(exchange.expect, answer)
        outcome, said = (Outcome.NOT_SERVING, said) if said else (Outcome.VERIFIED, "healthy")
    verdict = _verdict(line, candidate, endpoint, outcome, *proven.proof, f"{asked}: {said}")
    return replace(verdict, proof=proven.proof)


async def _ask(
    line: _Line, candidate: Candidate, endpoint: Endpoint, exchange: Exchange
) -> Answer | _Failure:
    return await line.get(endpoint.scheme, endpoint.port, _target(candidate, endpoint, exchange))


def _target(candidate: Candidate, endpoint: Endpoint, exchange: Exchange) -> str:
    path = Template(exchange.get).substitute(health=candidate.wishes.health_path or "/")
    return endpoint.path + path


def _verdict(
    line: _Line, candidate: Candidate, endpoint: Endpoint, outcome: Outcome, *evidence: str
) -> Verdict:
    trusted = endpoint.scheme == "http" or endpoint.port not in line.unverified
    if not trusted:
        evidence = (*evidence, "its certificate is signed by no known authority")
    return Verdict(candidate, endpoint, outcome, trusted, evidence)


_WORTH = [Outcome.UNREACHABLE, Outcome.MISMATCH, Outcome.NOT_SERVING]


def _better(one: Verdict | None, other: Verdict) -> Verdict:
    """The one that tells more: a product that fails, before another that answers, before nobody."""
    if one is None or _WORTH.index(other.outcome) > _WORTH.index(one.outcome):
        return other
    return one


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio words the error itself; the system's own words say why.
        number = error.os_error.errno
        return f"cannot connect: {os.strerror(number) if number else error.os_error}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    return f"no HTTP answer: {type(error).__name__}"
