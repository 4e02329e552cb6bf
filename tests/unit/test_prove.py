"""Proving over the network, against real servers on loopback: good ones, sick ones, and many."""

import asyncio
import json
import socket
import time
from typing import Any

import pytest

from sidecar import line
from sidecar.line import MAX_BODY
from sidecar.prove import CANDIDATE_TIMEOUTS, NoProber, Outcome, Question, Verdict
from tests.unit.builders import asking, backend
from tests.unit.probing import (
    ANSWERS,
    GOOD,
    HEALTH,
    IMPATIENT,
    LAMP,
    ask,
    question,
    verdict,
)
from tests.unit.servers import (
    Farm,
    Request,
    always,
    hang,
    response,
    routes,
)


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


class TestMany:
    def test_dead_ones_do_not_delay_the_others(self, farm: Farm) -> None:
        finished: list[int] = []
        good = [question(farm.serve(GOOD)) for _ in range(20)]
        dead = [question(farm.serve(hang)) for _ in range(20)]
        mixed = [each for pair in zip(dead, good, strict=True) for each in pair]
        started = time.monotonic()
        told = ask(*mixed, timeout=1.5, progress=lambda done, _: finished.append(done))
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
