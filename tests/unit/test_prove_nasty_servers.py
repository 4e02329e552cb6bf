"""Proving against bad servers and dead ones: a clear sentence, and nobody else pays for them."""

import gzip
from dataclasses import dataclass

import pytest

from sidecar.prove import Outcome
from tests.unit.builders import backend
from tests.unit.probing import DEAD, GOOD, IMPATIENT, PATIENT, ask, question, verdict
from tests.unit.servers import (
    Behaviour,
    Farm,
    always,
    endless,
    hang,
    large,
    response,
)


@dataclass(frozen=True)
class Nasty:
    """A server that is no lamp, and what is told of it."""

    behaviour: Behaviour
    outcome: Outcome
    said: str
    timeout: float = PATIENT


HTML = response(b"<!doctype html><title>Welcome</title>lamp", content_type="text/html")
NO_HTTP = "no HTTP answer: "
CLOSED = "it closed the connection without an answer"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NASTY = {
    "hangs after accepting": Nasty(hang, Outcome.UNREACHABLE, DEAD, IMPATIENT),
    "drips its headers": Nasty(
        endless(b"HTTP/1.1 200 OK\r\n", b"X", 0.1), Outcome.UNREACHABLE, DEAD, IMPATIENT
    ),
    "drips its body": Nasty(
        endless(response(Content_Length="999"), b"l", 0.1), Outcome.UNREACHABLE, DEAD, IMPATIENT
    ),
    "answers 500": Nasty(always(response(b"lamp", 500)), Outcome.MISMATCH, "status 500, expected 200"),
    "answers HTML everywhere": Nasty(always(HTML), Outcome.MISMATCH, "body is not like '^lamp$'"),
    "sends 100 MB": Nasty(large(100 * 1024**2), Outcome.MISMATCH, "body is not like '^lamp$'"),
    "sends a body without end": Nasty(
        endless(CHUNKED, b"1\r\nx\r\n" * 1000), Outcome.MISMATCH, "body is not like"
    ),
    "sends headers without end": Nasty(
        endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), Outcome.UNREACHABLE, NO_HTTP
    ),
    "sends one header without end": Nasty(
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 99), Outcome.UNREACHABLE, NO_HTTP
    ),
    "says continue for ever": Nasty(
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01), Outcome.UNREACHABLE, DEAD, IMPATIENT
    ),
    "sends 10,000 headers": Nasty(
        always(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\nlamp"), Outcome.UNREACHABLE, NO_HTTP
    ),
    "redirects to itself for ever": Nasty(
        always(response(status=302, Location="/about")), Outcome.MISMATCH, "status 302, expected 200"
    ),
    "redirects to what is no URL": Nasty(
        always(response(status=302, Location="http://[bad/")), Outcome.MISMATCH, "status 302, expected 200"
    ),
    "redirects to a template": Nasty(
        always(response(status=302, Location="/{{ env.HOME }}")), Outcome.MISMATCH, "status 302, expected 200"
    ),
    "speaks no HTTP": Nasty(always(b"\x00\xff* OK IMAP4 ready\r\n\r\n"), Outcome.UNREACHABLE, NO_HTTP),
    "speaks HTTP/2": Nasty(always(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"), Outcome.UNREACHABLE, ""),
    "closes at once": Nasty(always(b""), Outcome.UNREACHABLE, CLOSED),
    "closes amid its headers": Nasty(always(b"HTTP/1.1 200 OK\r\nX: "), Outcome.UNREACHABLE, ""),
    "closes amid its body": Nasty(
        always(response(b"lamp", Content_Length="99")), Outcome.UNREACHABLE, NO_HTTP
    ),
    "lies about its length": Nasty(
        always(response(b"lamp", Content_Length="-1")), Outcome.UNREACHABLE, NO_HTTP
    ),
    "sends chunks that are none": Nasty(always(CHUNKED + b"zz\r\nlamp"), Outcome.UNREACHABLE, NO_HTTP),
    "compresses unasked": Nasty(
        always(response(gzip.compress(b"lamp"), Content_Encoding="gzip")),
        Outcome.MISMATCH,
        "body is not like",
    ),
    "asks everybody for a login": Nasty(
        always(response(status=401)),
        Outcome.NEEDS_CREDENTIALS,
        "status 401, the product cannot be told from that",
    ),
    "forbids everything": Nasty(
        always(response(status=403)),
        Outcome.NEEDS_CREDENTIALS,
        "status 403, the product cannot be told from that",
    ),
}


class TestANastyServer:
    @pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY.keys())
    def test_it_gets_a_clear_sentence_few_gets_and_never_a_query(self, farm: Farm, nasty: Nasty) -> None:
        server = farm.serve(nasty.behaviour)
        told = verdict(server, timeout=nasty.timeout)
        assert told.outcome is nasty.outcome
        assert nasty.said in told.evidence[-1]
        assert {request.method for request in server.requests} == {"GET"}
        assert not [target for target in server.targets if "?" in target]
        assert len(server.requests) < 20

    def test_all_that_answer_anything_cost_a_good_one_among_them_nothing(self, farm: Farm) -> None:
        answering = [nasty for nasty in NASTY.values() if nasty.timeout == PATIENT]
        questions = [question(farm.serve(nasty.behaviour)) for nasty in answering]
        asked = [question(farm.serve(GOOD)), *questions, question(farm.serve(GOOD))]
        told = ask(*asked)
        assert [each.candidate for each in told] == [each.candidates[0] for each in asked]
        assert [each.outcome is Outcome.VERIFIED for each in told] == [True, *[False] * len(answering), True]

    def test_a_port_that_never_answers_is_asked_once_whatever_there_is_to_try(self, farm: Farm) -> None:
        server = farm.serve(hang)
        told = verdict(server, backend("lamp", endpoint={"paths": ["", "/a", "/b"]}), timeout=IMPATIENT)
        assert told.evidence == (DEAD,)
        assert server.targets == ["/about"]

    def test_of_100_mb_only_the_beginning_is_read(self, farm: Farm) -> None:
        server = farm.serve(NASTY["sends 100 MB"].behaviour)
        verdict(server)
        assert server.sent < 50 * 1024**2

    def test_no_redirect_is_followed(self, farm: Farm) -> None:
        lamp = farm.serve(GOOD)
        redirecting = farm.serve(always(response(status=307, Location=f"{lamp.url}/about")))
        assert verdict(redirecting).outcome is Outcome.MISMATCH
        assert lamp.requests == []

    def test_a_login_that_only_this_product_asks_for_so_is_told(self, farm: Farm) -> None:
        told = verdict(farm.serve(always(response(status=401, X_Lamp="on"))))
        assert told.outcome is Outcome.NEEDS_CREDENTIALS
        assert told.evidence == ("GET /about: status 401, as Lamp does",)

    def test_where_nobody_listens_it_is_told(self, farm: Farm) -> None:
        told = verdict(farm.refuse())
        assert told.outcome is Outcome.UNREACHABLE
        assert told.evidence == ("cannot connect: Connection refused",)
