"""Proving over the network, against real servers on loopback: good ones, bad ones, and dead ones."""

import asyncio
import gc
import gzip
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from sidecar import line
from sidecar.line import MAX_BODY
from sidecar.prove import CANDIDATE_TIMEOUTS, NetworkProber, NoProber, Outcome, Question, Verdict
from tests.realparts import unavailable
from tests.unit.builders import asking, backend, catalogue, service
from tests.unit.servers import (
    SELF_SIGNED,
    Behaviour,
    Farm,
    Request,
    Server,
    always,
    endless,
    hang,
    large,
    response,
    routes,
)
from toolset.backend import Backend
from toolset.classify import Endpoint, classify

PATIENT, IMPATIENT = 20.0, 0.3
"""Seconds for a probe of a server that answers, and of one that does not."""

HEALTH = "/query?query=up"
LAMP = backend("lamp", refusals=[{"get": "/about", "status": [401], "headers": {"X-Lamp": "^on$"}}])
BELL = backend("bell")

ANSWERS = {"/about": response(b"lamp"), HEALTH: response(b"{}")}
GOOD = routes(ANSWERS)
GUARDED = always(response(status=401))


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    farm = Farm()
    yield farm
    farm.stop()
    gc.collect()


def question(server: Server, *backends: Backend, name: str = "lamp", **fields: Any) -> Question:
    """What is asked about a Service whose ClusterIP is the server's address."""
    of = service(name, **({"ports": [f"web:{server.port}"]} | fields), cluster_ip=server.ip)
    found = classify(of, catalogue(*(backends or (LAMP,))))
    assert found.candidates, found.ruled_out
    return Question(found.candidates)


def ask(*questions: Question, timeout: float = PATIENT, **options: Any) -> list[Verdict]:
    return NetworkProber(cluster_domain="cluster.local", timeout=timeout, **options).ask(questions)


def verdict(server: Server, *backends: Backend, timeout: float = PATIENT, **fields: Any) -> Verdict:
    [only] = ask(question(server, *backends, **fields), timeout=timeout)
    return only


def below(prefix: str, answers: Mapping[str, bytes] = ANSWERS) -> dict[str, bytes]:
    return {prefix + path: answer for path, answer in answers.items()}


class TestAGoodServer:
    def test_it_is_verified_with_what_it_answered_as_evidence(self, farm: Farm) -> None:
        told = verdict(farm.serve(GOOD))
        assert told.outcome is Outcome.VERIFIED
        assert told.verify_ssl
        assert told.proof == ("GET /about answered as Lamp does",)
        assert told.evidence == ("GET /about answered as Lamp does", f"GET {HEALTH}: healthy")

    def test_it_is_asked_for_its_health_only_after_the_proof_held(self, farm: Farm) -> None:
        server = farm.serve(GOOD)
        verdict(server)
        assert server.targets == ["/about", HEALTH]

    def test_every_request_is_a_get_of_the_services_dns_name_without_any_credential(self, farm: Farm) -> None:
        server = farm.serve(GOOD)
        verdict(server)
        for request in server.requests:
            assert request.method == "GET"
            assert request.headers["host"] == f"lamp.shop.svc.cluster.local:{server.port}"
            assert request.headers["user-agent"].startswith("kubernaut-dynamic-toolsets/")
            assert request.headers["accept-encoding"] == "identity"
            assert not {"authorization", "cookie", "proxy-authorization"} & set(request.headers)

    def test_a_schemes_own_port_is_not_spelled_out_in_host(
        self, farm: Farm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = farm.serve(GOOD)
        monkeypatch.setitem(line._DEFAULT_PORTS, "http", server.port)
        assert verdict(server).outcome is Outcome.VERIFIED
        assert {request.headers["host"] for request in server.requests} == {"lamp.shop.svc.cluster.local"}

    def test_no_dns_is_asked(self, farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
        server = farm.serve(GOOD)

        def asked(*arguments: Any) -> Any:
            raise AssertionError(arguments)

        monkeypatch.setattr(socket, "getaddrinfo", asked)
        assert verdict(server).outcome is Outcome.VERIFIED

    def test_no_proxy_of_the_environment_stands_between(
        self, farm: Farm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = farm.serve(always(response(b"lamp")))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert verdict(farm.serve(GOOD)).outcome is Outcome.VERIFIED
        assert proxy.requests == []

    def test_a_cookie_that_it_sets_is_not_sent_back(self, farm: Farm) -> None:
        answers = {"/about": response(b"lamp", Set_Cookie="a=b; Path=/"), HEALTH: response()}
        server = farm.serve(routes(answers))
        assert verdict(server).outcome is Outcome.VERIFIED
        assert not any("cookie" in request.headers for request in server.requests)

    def test_an_answer_as_long_as_what_is_read_is_whole(self, farm: Farm) -> None:
        text = json.dumps({"v": "x" * (MAX_BODY - len('{"v": ""}'))}).encode()
        proof = {"get": "/about", "json": {"type": "object", "required": ["v"]}}
        answers = {"/about": response(text), "/long": response(text + b" "), HEALTH: response()}
        server = farm.serve(routes(answers))
        assert verdict(server, backend("lamp", proofs=[[proof]])).outcome is Outcome.VERIFIED
        told = verdict(server, backend("lamp", proofs=[[proof | {"get": "/long"}]]))
        assert told.evidence == ("GET /long: the answer is longer than what is read of it",)

    def test_a_later_proof_holds_where_an_earlier_does_not(self, farm: Farm) -> None:
        either = backend("lamp", proofs=[[{"get": "/v2"}], [{"get": "/about"}, {"get": "/more"}]])
        server = farm.serve(routes(ANSWERS | {"/more": response()}))
        told = verdict(server, either)
        assert told.outcome is Outcome.VERIFIED
        assert told.proof == ("GET /about answered as Lamp does", "GET /more answered as Lamp does")

    def test_every_request_of_a_proof_must_be_answered_right(self, farm: Farm) -> None:
        both = backend("lamp", proofs=[[{"get": "/about"}, {"get": "/more"}]])
        told = verdict(farm.serve(GOOD), both)
        assert told.outcome is Outcome.MISMATCH
        assert told.evidence == ("GET /more: status 404, expected 200",)

    def test_the_same_is_not_asked_twice(self, farm: Farm) -> None:
        other = backend("bell", proofs=[[{"get": "/about", "text": "^bell$"}]])
        server = farm.serve(GOOD)
        told = verdict(server, other, LAMP, name="bell-lamp")
        assert told.candidate.type == "lamp"
        assert server.targets.count("/about") == 1


class TestASickServer:
    @pytest.mark.parametrize(
        ("answer", "outcome", "said"),
        [
            (response(status=500), Outcome.NOT_SERVING, "status 500, expected 200"),
            (response(status=302, Location="/login"), Outcome.NOT_SERVING, "status 302, expected 200"),
            (response(status=401), Outcome.NEEDS_CREDENTIALS, "status 401"),
            (response(status=403), Outcome.NEEDS_CREDENTIALS, "status 403"),
            (b"", Outcome.NOT_SERVING, "it closed the connection without an answer"),
        ],
    )
    def test_one_that_proved_itself_and_is_not_well_is_told_apart(
        self, farm: Farm, answer: bytes, outcome: Outcome, said: str
    ) -> None:
        told = verdict(farm.serve(routes(ANSWERS | {HEALTH: answer})))
        assert told.outcome is outcome
        assert told.evidence == ("GET /about answered as Lamp does", f"GET {HEALTH}: {said}")

    def test_of_one_that_is_proven_only_the_health_is_asked(self, farm: Farm) -> None:
        server = farm.serve(GOOD)
        asked = question(server)
        [proven] = ask(asked)
        server.requests.clear()
        [again] = ask(Question(asked.candidates, proven))
        assert server.targets == [HEALTH]
        assert (again.outcome, again.proof) == (Outcome.VERIFIED, proven.proof)

    def test_of_one_that_is_proven_and_gone_it_is_told(self, farm: Farm) -> None:
        asked = question(farm.refuse())
        proven = Verdict(
            asked.candidates[0], asked.candidates[0].endpoints[0], Outcome.VERIFIED, proof=("p",)
        )
        [told] = ask(Question(asked.candidates, proven))
        assert told.outcome is Outcome.NOT_SERVING
        assert told.evidence == ("p", f"GET {HEALTH}: cannot connect: Connection refused")


@dataclass(frozen=True)
class Nasty:
    """A server that is no lamp, and what is told of it."""

    behaviour: Behaviour
    outcome: Outcome
    said: str
    timeout: float = PATIENT


HTML = response(b"<!doctype html><title>Welcome</title>lamp", content_type="text/html")
DEAD = f"no answer within {IMPATIENT:g} s"
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


class TestTls:
    NEW_AUTHORITY = "its certificate is signed by no known authority"

    def test_a_self_signed_certificate_is_accepted_and_told(self, farm: Farm) -> None:
        server = farm.serve(GOOD, tls=True)
        told = verdict(server, ports=[f"https:{server.port}"])
        assert (told.outcome, told.endpoint.scheme, told.verify_ssl) == (Outcome.VERIFIED, "https", False)
        assert told.evidence[-1] == self.NEW_AUTHORITY

    def test_the_services_dns_name_is_in_sni_and_host(self, farm: Farm) -> None:
        server = farm.serve(GOOD, tls=True)
        verdict(server, ports=[f"https:{server.port}"])
        assert set(server.sni) == {"lamp.shop.svc.cluster.local"}
        hosts = {request.headers["host"] for request in server.requests}
        assert hosts == {f"lamp.shop.svc.cluster.local:{server.port}"}

    def test_a_certificate_of_a_known_authority_for_this_name_is_verified(
        self, farm: Farm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(SELF_SIGNED))
        server = farm.serve(GOOD, tls=True)
        told = verdict(server, ports=[f"https:{server.port}"])
        assert (told.outcome, told.verify_ssl) == (Outcome.VERIFIED, True)
        assert self.NEW_AUTHORITY not in told.evidence

    def test_one_for_another_name_is_not(self, farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(SELF_SIGNED))
        server = farm.serve(GOOD, tls=True)
        told = verdict(server, ports=[f"https:{server.port}"], namespace="other")
        assert (told.outcome, told.verify_ssl) == (Outcome.VERIFIED, False)

    def test_tls_on_a_port_that_does_not_look_like_it_is_found(self, farm: Farm) -> None:
        told = verdict(farm.serve(GOOD, tls=True))
        assert (told.outcome, told.endpoint.scheme) == (Outcome.VERIFIED, "https")

    def test_plain_http_on_a_port_that_looks_like_tls_is_found(self, farm: Farm) -> None:
        server = farm.serve(GOOD)
        told = verdict(server, ports=[f"https:{server.port}"])
        assert (told.outcome, told.endpoint.scheme, told.verify_ssl) == (Outcome.VERIFIED, "http", True)
        assert self.NEW_AUTHORITY not in told.evidence

    def test_a_server_that_never_shakes_hands_is_dead_for_every_scheme(self, farm: Farm) -> None:
        server = farm.serve(hang, tls=True)
        told = verdict(server, ports=[f"https:{server.port}"], timeout=IMPATIENT)
        assert (told.outcome, told.evidence[0]) == (Outcome.UNREACHABLE, DEAD)


class TestWhere:
    def test_ports_are_tried_in_order_until_one_proves_itself(self, farm: Farm) -> None:
        wrong = farm.serve(always(response(status=404)))
        right = farm.serve(GOOD, ip=wrong.ip)
        told = verdict(right, ports=[f"web:{wrong.port}", f"other:{right.port}"])
        assert (told.outcome, told.endpoint.port) == (Outcome.VERIFIED, right.port)
        assert wrong.targets[0] == "/about"

    def test_paths_are_tried_in_order(self, farm: Farm) -> None:
        server = farm.serve(routes(below("/lamp")))
        rule = backend("lamp", endpoint={"paths": ["", "/l", "/lamp"]})
        assert verdict(server, rule).endpoint == Endpoint("http", server.port, "/lamp")
        assert server.targets[-2:] == ["/lamp/about", f"/lamp{HEALTH}"]

    @pytest.mark.parametrize(
        "root",
        [
            response(status=302, Location="/prom/graph"),
            response(status=302, Location="/prom/"),
            response(status=301, Location="http://elsewhere.example/prom/graph?x#y"),
            response(b"<html><head><base href='/prom/'></head></html>", content_type="text/html"),
        ],
    )
    def test_a_prefix_that_the_server_discloses_is_tried(self, farm: Farm, root: bytes) -> None:
        server = farm.serve(routes({"/": root} | below("/prom")))
        told = verdict(server)
        assert (told.outcome, told.endpoint.path) == (Outcome.VERIFIED, "/prom")
        assert "GET /prom/about answered as Lamp does" in told.evidence

    def test_an_owner_who_says_where_is_taken_at_his_word(self, farm: Farm) -> None:
        server = farm.serve(routes({"/": response(status=302, Location="/prom")} | below("/prom")))
        told = verdict(server, annotations=asking(endpoint="/here"))
        assert told.outcome is Outcome.MISMATCH
        assert set(server.targets) == {"/here/about"}

    def test_the_next_candidate_is_tried_when_the_likeliest_is_not_it(self, farm: Farm) -> None:
        told = verdict(farm.serve(GOOD), BELL, LAMP, name="bell-lamp")
        assert (told.outcome, told.candidate.type) == (Outcome.VERIFIED, "lamp")

    def test_a_custom_type_is_proven_by_its_own_health_path(self, farm: Farm) -> None:
        server = farm.serve(routes({"/ok": response()}))
        told = verdict(server, annotations=asking(type="tracker", health_path="/ok"), name="x")
        assert (told.outcome, told.candidate.type) == (Outcome.VERIFIED, "tracker")
        assert set(server.targets) == {"/ok"}

    def test_a_failing_product_tells_more_than_a_stranger_and_a_stranger_more_than_nobody(
        self, farm: Farm
    ) -> None:
        dead = farm.refuse()
        stranger = farm.serve(always(response(status=404)), ip=dead.ip)
        sick = farm.serve(routes(ANSWERS | {HEALTH: response(status=500)}), ip=dead.ip)
        ports = [f"web:{dead.port}", f"b:{stranger.port}"]
        assert verdict(dead, ports=ports).outcome is Outcome.MISMATCH
        assert verdict(dead, ports=[f"web:{sick.port}", *ports[1:]]).outcome is Outcome.NOT_SERVING

    def test_an_ipv6_address_is_reached(self, farm: Farm) -> None:
        try:
            server = farm.serve(GOOD, ip="::1")
        except OSError:
            unavailable("this machine has no IPv6: enable it on the loopback interface")
        assert verdict(server).outcome is Outcome.VERIFIED


class TestALoginOnTheWay:
    """A port that asks for a login says nothing of the Service's other ports."""

    def test_a_login_that_says_nothing_of_the_product_does_not_end_the_search(self, farm: Farm) -> None:
        guarded = farm.serve(GUARDED)
        right = farm.serve(GOOD, ip=guarded.ip)
        told = verdict(right, ports=[f"web:{guarded.port}", f"other:{right.port}"])
        assert (told.outcome, told.endpoint.port) == (Outcome.VERIFIED, right.port)

    def test_nor_does_it_keep_the_next_candidate_from_being_tried(self, farm: Farm) -> None:
        server = farm.serve(routes({"/about": response(status=403), "/bell": response(), HEALTH: response()}))
        bell = backend("bell", proofs=[[{"get": "/bell"}]])
        either = (*question(server, LAMP).candidates, *question(server, bell, name="bell").candidates)
        [told] = ask(Question(either))
        assert (told.outcome, told.candidate.type) == (Outcome.VERIFIED, "bell")

    def test_where_nothing_else_proves_itself_the_login_is_told(self, farm: Farm) -> None:
        guarded = farm.serve(GUARDED)
        stranger = farm.serve(always(response(status=404)), ip=guarded.ip)
        dead = farm.serve(hang, ip=guarded.ip)
        ports = [f"web:{guarded.port}", f"b:{stranger.port}", f"c:{dead.port}"]
        told = verdict(guarded, ports=ports, timeout=IMPATIENT)
        assert (told.outcome, told.endpoint.port) == (Outcome.NEEDS_CREDENTIALS, guarded.port)

    def test_it_is_told_also_when_the_time_of_the_service_is_up(self, farm: Farm) -> None:
        guarded = farm.serve(GUARDED)
        dead = [farm.serve(hang, ip=guarded.ip).port for _ in range(9)]
        ports = [f"web:{guarded.port}", *(f"p{port}:{port}" for port in dead)]
        assert verdict(guarded, ports=ports, timeout=IMPATIENT).outcome is Outcome.NEEDS_CREDENTIALS

    def test_one_that_bears_the_products_mark_ends_the_search(self, farm: Farm) -> None:
        guarded = farm.serve(always(response(status=401, X_Lamp="on")))
        right = farm.serve(GOOD, ip=guarded.ip)
        told = verdict(right, ports=[f"web:{guarded.port}", f"other:{right.port}"])
        assert (told.outcome, told.endpoint.port) == (Outcome.NEEDS_CREDENTIALS, guarded.port)
        assert right.requests == []

    def test_a_product_that_fails_tells_more_than_a_login_of_anybody(self, farm: Farm) -> None:
        guarded = farm.serve(GUARDED)
        sick = farm.serve(routes(ANSWERS | {HEALTH: response(status=500)}), ip=guarded.ip)
        told = verdict(guarded, ports=[f"web:{guarded.port}", f"b:{sick.port}"])
        assert told.outcome is Outcome.NOT_SERVING


class TestMany:
    def test_dead_ones_do_not_delay_the_others(self, farm: Farm) -> None:
        finished: list[int] = []
        good = [question(farm.serve(GOOD)) for _ in range(20)]
        dead = [question(farm.serve(hang)) for _ in range(20)]
        mixed = [each for pair in zip(dead, good, strict=True) for each in pair]
        started = time.monotonic()
        told = ask(*mixed, timeout=1.5, observe=lambda _, done, __: finished.append(done))
        assert [each.outcome for each in told] == [Outcome.UNREACHABLE, Outcome.VERIFIED] * 20
        assert time.monotonic() - started < 10, "twenty timeouts one after another are thirty seconds"
        assert finished == list(range(1, 41))

    def test_a_service_of_many_dead_ports_gets_no_more_than_its_share(self, farm: Farm) -> None:
        first = farm.serve(hang)
        ports = [first.port, *(farm.serve(hang, ip=first.ip).port for _ in range(9))]
        started = time.monotonic()
        told = verdict(first, ports=[f"web-{port}:{port}" for port in ports], timeout=IMPATIENT)
        assert told.outcome is Outcome.UNREACHABLE
        assert told.evidence == (f"no verdict within {IMPATIENT * CANDIDATE_TIMEOUTS:g} s",)
        assert time.monotonic() - started < IMPATIENT * len(ports)

    def test_its_share_is_not_exceeded_either_when_the_process_was_held_up(self, farm: Farm) -> None:
        """Then the deadline of one probe and that of its Service have passed at the same moment."""
        first = farm.serve(hang)
        ports = [first.port, *(farm.serve(hang, ip=first.ip).port for _ in range(9))]
        dead = question(first, ports=[f"web-{port}:{port}" for port in ports])
        finished: list[float] = []

        def hold_up(*_: object) -> None:
            if not finished:
                time.sleep(IMPATIENT * (CANDIDATE_TIMEOUTS + 1))
            finished.append(time.monotonic())

        [told, _] = ask(dead, question(farm.serve(GOOD)), timeout=IMPATIENT, observe=hold_up)
        assert told.outcome is Outcome.UNREACHABLE
        assert finished[1] - finished[0] < IMPATIENT * len(ports) / 2

    def test_more_than_may_run_at_a_time_are_all_asked_and_answered_in_order(self, farm: Farm) -> None:
        asked = [question(farm.serve(GOOD)) for _ in range(10)]
        told = ask(*asked, concurrency=2)
        assert [each.candidate for each in told] == [each.candidates[0] for each in asked]
        assert {each.outcome for each in told} == {Outcome.VERIFIED}

    def test_where_nothing_is_asked_nothing_is_said(self) -> None:
        assert ask() == []


def test_without_proving_the_likeliest_is_taken_on_trust(farm: Farm) -> None:
    server = farm.serve(GOOD)
    asked = question(server)
    [told] = NoProber().ask([asked])
    assert (told.outcome, told.endpoint) == (Outcome.NOT_ASKED, asked.candidates[0].endpoints[0])
    assert server.requests == []


class TestTenants:
    """A backend that tells tenants apart refuses whoever does not say whose data he means."""

    LAMPS = backend("lamp", tenant="X-Scope-OrgID")

    @staticmethod
    async def of_a_tenant(request: Request, writer: asyncio.StreamWriter) -> None:
        told = request.target == "/about" or "x-scope-orgid" in request.headers
        await (GOOD if told else always(response(b"no org id\n", 401)))(request, writer)

    def test_the_tenant_of_the_annotation_is_said(self, farm: Farm) -> None:
        server = farm.serve(self.of_a_tenant)
        told = verdict(server, self.LAMPS, annotations=asking(tenant="team-a"))
        assert told.outcome is Outcome.VERIFIED
        assert {request.headers.get("x-scope-orgid") for request in server.requests} == {"team-a"}

    def test_without_one_it_is_not_guessed(self, farm: Farm) -> None:
        server = farm.serve(self.of_a_tenant)
        assert verdict(server, self.LAMPS).outcome is Outcome.NEEDS_CREDENTIALS
        assert not any("x-scope-orgid" in request.headers for request in server.requests)

    def test_what_has_no_tenants_is_told_of_none(self, farm: Farm) -> None:
        server = farm.serve(GOOD)
        verdict(server, LAMP, annotations=asking(tenant="team-a"))
        assert not any("x-scope-orgid" in request.headers for request in server.requests)
