"""Asks candidates what they are: concurrent probes, each within a total deadline and a byte limit.

A probe connects to the Service's ClusterIP and names the Service's DNS name in Host and SNI: no DNS
is asked, so nothing can be rebound, and it takes exactly the path of HolmesGPT's own requests. It
sends GET only (or a protocol's own greeting, as the catalogue gives it), follows no redirect and carries
no credential. An address that has not proven what it is gets no query: ClickHouse runs ``?query=`` on
any path.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

import aiohttp

from sidecar.line import Failure, Headers, Line, Request, Sockets
from sidecar.proxied import ProxiedLine
from toolset import __version__
from toolset.backend import Exchange
from toolset.classify import Candidate, Endpoint
from toolset.proof import Answer, leaked_prefix, why_not
from toolset.via import KubectlProxy

CANDIDATE_TIMEOUTS = 3
"""A Service's probes may take this many times the timeout of one, all of its ports and schemes included."""

_HTTP = frozenset({"http", "https"})
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

    ``trace`` is all that was asked and what came, a line each, where the prober was told to keep it.
    ``proof`` is the part of ``evidence`` that showed what it is; empty where nothing did.
    """

    candidate: Candidate
    endpoint: Endpoint
    outcome: Outcome
    verify_ssl: bool = True
    evidence: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()
    trace: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    """How long the request took that HolmesGPT uses as its check."""


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
            Verdict(
                (first := question.candidates[0]),
                first.endpoints[0],
                Outcome.NEEDS_CREDENTIALS if first.backend.login else Outcome.NOT_ASKED,
                evidence=("not asked",),
            )
            for question in questions
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
        observe: Callable[[float], object] = lambda _: None,
        progress: Callable[[int, int], object] = lambda *_: None,
        keep_trace: bool = False,
        via: KubectlProxy | None = None,
    ) -> None:
        """``observe`` is told the seconds of each question, ``progress`` how many of how many are done."""
        self.concurrency = concurrency
        self._keep_trace = keep_trace
        self._via = via
        self._domain = cluster_domain
        self._timeout = timeout
        self._observe = observe
        self._progress = progress
        self._verified_tls = ssl.create_default_context()

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict each."""
        return asyncio.run(self._ask_all(questions)) if questions else []

    async def _ask_all(self, questions: Sequence[Question]) -> list[Verdict]:
        at_once = asyncio.Semaphore(self.concurrency)
        done = itertools.count(1)
        sockets = Sockets()
        async with open_session(sockets) as session:

            async def one(question: Question) -> Verdict:
                async with at_once:
                    verdict = await self.ask_one(session, question)
                    self._progress(next(done), len(questions))
                    return verdict

            verdicts = await asyncio.gather(*map(one, questions))
        await sockets.hang_up()
        return verdicts

    async def ask_one(self, session: aiohttp.ClientSession, question: Question) -> Verdict:
        """The verdict on one Service, within the deadline of one."""
        started = time.monotonic()
        verdict = await self._judge(session, question)
        self._observe(time.monotonic() - started)
        return verdict

    async def _judge(self, session: aiohttp.ClientSession, question: Question) -> Verdict:
        limit = self._timeout * CANDIDATE_TIMEOUTS
        until = time.monotonic() + limit
        who = (session, question.candidates[0], self._domain, self._timeout, self._verified_tls, until)
        line = ProxiedLine(*who, proxy=self._via) if self._via else Line(*who)
        verdict = await self._judge_on(line, question, limit)
        return replace(verdict, trace=tuple(line.trace)) if self._keep_trace else verdict

    async def _judge_on(self, line: Line, question: Question, limit: float) -> Verdict:
        best: Verdict | None = None
        try:
            async with asyncio.timeout(limit):
                if question.proven is not None:
                    return await _again(line, question.proven)
                for candidate in question.candidates:
                    async for verdict in _prove(line, candidate):
                        if _settles(verdict):
                            return verdict
                        best = _better(best, verdict)
                if best is not None:
                    return best
        except TimeoutError:
            if best is not None and best.outcome is not Outcome.UNREACHABLE:
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


def open_session(sockets: Sockets) -> aiohttp.ClientSession:
    """What probes are sent with; the environment's proxies and .netrc are not for the cluster's inside."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=sockets),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers=_HEADERS,
    )


async def _prove(line: Line, candidate: Candidate) -> AsyncIterator[Verdict]:
    """Tries the candidate's endpoints in order, and the prefix that the server itself discloses."""
    endpoints = list(candidate.endpoints)
    asked: set[Endpoint] = set()
    while endpoints:
        endpoint = endpoints.pop(0)
        if endpoint in asked:
            continue
        asked.add(endpoint)
        verdict = await _prove_endpoint(line, candidate, endpoint)
        bare = endpoint.scheme in _HTTP and not endpoint.path and not candidate.wishes.address.path
        found = verdict.outcome in {Outcome.VERIFIED, Outcome.NEEDS_CREDENTIALS}
        yield await _at_its_own_prefix(line, verdict) if bare and found else verdict
        if bare and verdict.outcome is Outcome.MISMATCH:
            endpoints[:0] = await _disclosed(line, candidate, endpoint)


def _settles(verdict: Verdict) -> bool:
    """Whether there is nothing to seek any more. A login that anybody may ask for is no product's."""
    shown = verdict.outcome is Outcome.NEEDS_CREDENTIALS and bool(verdict.proof)
    return shown or verdict.outcome is Outcome.VERIFIED


async def _at_its_own_prefix(line: Line, proven: Verdict) -> Verdict:
    """Where an API answers with and without its prefix: the one that the server calls its own."""
    candidate = proven.candidate
    if not candidate.backend.endpoint.everywhere:
        return proven
    for endpoint in await _disclosed(line, candidate, proven.endpoint):
        verdict = await _prove_endpoint(line, candidate, endpoint)
        if verdict.outcome is proven.outcome:
            return verdict
    return proven


async def _disclosed(line: Line, candidate: Candidate, endpoint: Endpoint) -> list[Endpoint]:
    answer = await line.ask(Request(endpoint.scheme, endpoint.port, "/"))
    prefix = leaked_prefix(answer, candidate.backend.endpoint.leak) if isinstance(answer, Answer) else ""
    return [Endpoint(endpoint.scheme, endpoint.port, path) for path in _parents(prefix)]


def _parents(prefix: str) -> Iterator[str]:
    """``/prom/graph`` may be the prefix ``/prom/graph`` or a page of the prefix ``/prom``."""
    while prefix:
        yield prefix
        prefix = prefix.rpartition("/")[0]


async def _prove_endpoint(line: Line, candidate: Candidate, endpoint: Endpoint) -> Verdict:
    backend = candidate.backend
    refused = ""
    reason = ""
    for proof in backend.proofs:
        if not _speaks(endpoint, proof[0]):
            continue
        held: list[str] = []
        for exchange in proof:
            answer = await _ask(line, candidate, endpoint, exchange)
            if isinstance(answer, Failure):
                return _verdict(line, candidate, endpoint, Outcome.UNREACHABLE, answer.reason)
            lacking = why_not(exchange.expect, answer)
            if lacking:
                reason = reason or f"{_asked(candidate, endpoint, exchange)}: {lacking}"
                if answer.asks_for_login:
                    refused = refused or f"{_asked(candidate, endpoint, exchange)}: status {answer.status}"
                break
            held.append(f"{_asked(candidate, endpoint, exchange)} answered as {backend.title} does")
        else:
            return await _check(line, Verdict(candidate, endpoint, Outcome.VERIFIED, proof=tuple(held)))
    if refused or endpoint.scheme not in _HTTP:
        verdict = await _refusal(line, candidate, endpoint, refused)
        if verdict is not None:
            return verdict
    return _verdict(line, candidate, endpoint, Outcome.MISMATCH, reason)


async def _refusal(line: Line, candidate: Candidate, endpoint: Endpoint, refused: str) -> Verdict | None:
    """Somebody asks for a login: does the product show itself by the way it does so?

    In HTTP the status alone says that a login is asked for; elsewhere only the product's own words do.
    """
    said, mark, proof = refused, "the product cannot be told from that", ""
    for exchange in candidate.backend.refusals:
        if not _speaks(endpoint, exchange):
            continue
        answer = await _ask(line, candidate, endpoint, exchange)
        if isinstance(answer, Answer) and not why_not(exchange.expect, answer):
            said = said or f"{_asked(candidate, endpoint, exchange)}: a login is asked for"
            mark = f"as {candidate.backend.title} does"
            proof = f"{said}, {mark}"
    if not said:
        return None
    verdict = _verdict(line, candidate, endpoint, Outcome.NEEDS_CREDENTIALS, f"{said}, {mark}")
    return replace(verdict, proof=(proof,) if proof else ())


async def _again(line: Line, proven: Verdict) -> Verdict:
    """Asks what is proven how it is; or, where there is no such question, for the proof once more."""
    health = proven.candidate.backend.health
    if health is None or not _speaks(proven.endpoint, health):
        return await _prove_endpoint(line, proven.candidate, proven.endpoint)
    return await _check(line, proven)


async def _check(line: Line, proven: Verdict) -> Verdict:
    """Asks the health of what has proven what it is, as HolmesGPT will.

    Without such a request the proof is all that can be known.
    """
    candidate, endpoint = proven.candidate, proven.endpoint
    exchange = candidate.backend.health
    if exchange is None or not _speaks(endpoint, exchange):
        outcome = Outcome.NEEDS_CREDENTIALS if candidate.backend.login else Outcome.VERIFIED
        return replace(_verdict(line, candidate, endpoint, outcome, *proven.proof), proof=proven.proof)
    began = time.monotonic()
    answer = await _ask(line, candidate, endpoint, exchange)
    seconds = time.monotonic() - began
    asked = _asked(candidate, endpoint, exchange)
    if isinstance(answer, Failure):
        outcome, said = Outcome.NOT_SERVING, answer.reason
    elif answer.asks_for_login:
        outcome, said = Outcome.NEEDS_CREDENTIALS, f"status {answer.status}"
    elif exchange.closed_is_login and answer.closed and not answer.body:
        outcome, said = Outcome.NEEDS_CREDENTIALS, "it closed the connection, which it does before a login"
    else:
        said = why_not(exchange.expect, answer)
        outcome, said = (Outcome.NOT_SERVING, said) if said else (Outcome.VERIFIED, "healthy")
    verdict = _verdict(line, candidate, endpoint, outcome, *proven.proof, f"{asked}: {said}")
    return replace(verdict, proof=proven.proof, seconds=seconds)


async def _ask(line: Line, candidate: Candidate, endpoint: Endpoint, exchange: Exchange) -> Answer | Failure:
    if exchange.send is not None:
        # Who asks for a login has said all that he will: waiting for a proof would take the whole time.
        backend = candidate.backend
        every = [*itertools.chain.from_iterable(backend.proofs), *backend.refusals, exchange]
        expect = [it.expect.receive for it in every if it.send == exchange.send and it.expect.receive]
        return await line.converse(endpoint, exchange, expect)
    request = Request(
        endpoint.scheme, endpoint.port, _target(candidate, endpoint, exchange), _headers(candidate, exchange)
    )
    if exchange.post is not None:
        greeting = replace(request, method="POST", body=exchange.body, session=exchange.session)
        return await line.ask(replace(greeting, until=exchange.expect.text))
    return await line.ask(request)


def _headers(candidate: Candidate, exchange: Exchange) -> Headers:
    wanted = {"Accept": exchange.accept, candidate.backend.tenant: candidate.wishes.tenant}
    return tuple((name, value) for name, value in wanted.items() if name and value)


def _speaks(endpoint: Endpoint, exchange: Exchange) -> bool:
    return (exchange.send is None) == (endpoint.scheme in _HTTP)


def _target(candidate: Candidate, endpoint: Endpoint, exchange: Exchange) -> str:
    path = exchange.get or exchange.post or ""
    if path == "$health":
        path = candidate.wishes.health_path or "/"
    return path if exchange.at_root else endpoint.path + path or "/"


def _asked(candidate: Candidate, endpoint: Endpoint, exchange: Exchange) -> str:
    if exchange.send is not None:
        return f"{endpoint.scheme} {len(exchange.send)} bytes to port {endpoint.port}"
    method = "GET" if exchange.post is None else "POST"
    return f"{method} {_target(candidate, endpoint, exchange)}"


def _verdict(
    line: Line, candidate: Candidate, endpoint: Endpoint, outcome: Outcome, *evidence: str
) -> Verdict:
    trusted = endpoint.scheme == "http" or endpoint.port not in line.unverified
    if not trusted:
        evidence = (*evidence, "its certificate is signed by no known authority")
    return Verdict(candidate, endpoint, outcome, trusted, evidence)


_WORTH = [Outcome.UNREACHABLE, Outcome.MISMATCH, Outcome.NEEDS_CREDENTIALS, Outcome.NOT_SERVING]


def _better(one: Verdict | None, other: Verdict) -> Verdict:
    """The one that tells more: a product that fails, a login, a stranger that answers, nobody."""
    if one is None or _WORTH.index(other.outcome) > _WORTH.index(one.outcome):
        return other
    return one
