"""Where a product is found: its port, scheme and path, over TLS, and past what asks for a login."""

import pytest

from sidecar.prove import Outcome, Question
from tests.realparts import unavailable
from tests.unit.builders import asking, backend, catalogue
from tests.unit.probing import (
    ANSWERS,
    DEAD,
    GOOD,
    GUARDED,
    HEALTH,
    IMPATIENT,
    LAMP,
    ask,
    below,
    question,
    verdict,
)
from tests.unit.servers import (
    SELF_SIGNED,
    Farm,
    always,
    hang,
    response,
    routes,
)
from toolset.classify import Endpoint
from toolset.patterns import Pattern, apply


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
        bell = backend("bell", recognise={"words": ["bell"], "labels": [{"bell.io/tower": "*"}]})
        asked = question(farm.serve(GOOD), bell, LAMP, labels={"bell.io/tower": "north"})
        assert [candidate.type for candidate in asked.candidates] == ["bell", "lamp"]
        [told] = ask(asked)
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


@pytest.mark.parametrize("path", ["/$foo", "/$", "/${health}", "/a$health"])
def test_a_health_path_may_hold_a_dollar(farm: Farm, path: str) -> None:
    """ServicePatterns may name such a path; it stands for nothing but itself."""
    custom = apply({"tracker": Pattern(names=("tracker",), health_path=path)}, catalogue(LAMP))["tracker"]
    server = farm.serve(routes({path: response(b"")}))
    assert verdict(server, custom, name="tracker").outcome is Outcome.VERIFIED
    assert set(server.targets) == {path}
