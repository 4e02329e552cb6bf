"""One look at a cluster: whom is asked, what answers mean, and when to ask again."""

import pytest

from sidecar.config import Config
from sidecar.discovery import WITNESSES, Discoverer
from sidecar.prove import NoProber, Outcome
from sidecar.recognised import recognise
from tests.unit.builders import asking, service
from tests.unit.discovering import CONFIG, FAILING, LAMPS, Cluster
from toolset.discovered import Discovery, Skipped, Status
from toolset.service import Service


class TestOneLook:
    def test_what_is_verified_is_discovered_with_all_its_evidence(self, lamp: Cluster) -> None:
        [found] = lamp.look(0).discovered
        assert (found.status, found.service.key, found.type) == (Status.VERIFIED, "shop/lamp", "lamp")
        assert found.evidence == ("name lamp", "port web:9090", "said verified")

    def test_what_asks_for_a_login_is_discovered_and_waits_for_credentials(self, lamp: Cluster) -> None:
        lamp.says(Outcome.NEEDS_CREDENTIALS)
        assert lamp.status(0) is Status.NEEDS_CREDENTIALS

    @pytest.mark.parametrize("outcome", FAILING)
    def test_what_was_never_verified_is_left_out_with_the_reason(
        self, lamp: Cluster, outcome: Outcome
    ) -> None:
        lamp.says(outcome)
        seen = lamp.look(0)
        assert seen.discovered == ()
        reason = f"looks like Lamp, but: {outcome}; said {outcome}"
        assert seen.skipped == (Skipped("shop", "lamp", reason),)

    def test_one_that_fails_costs_the_others_nothing(self) -> None:
        cluster = Cluster(*(service("lamp", namespace) for namespace in ("a", "b", "c")))
        cluster.says(Outcome.UNREACHABLE, "b/lamp")
        assert [found.service.key for found in cluster.look(0).discovered] == ["a/lamp", "c/lamp"]

    def test_both_lists_are_sorted_whatever_the_order_of_the_services(self) -> None:
        names = [
            ("b", "lamp"),
            ("a", "other-lamp"),
            ("a", "lamp"),
            ("b", "lamp-exporter"),
            ("a", "lamp-exporter"),
        ]
        seen = Cluster(*(service(name, at, selector={"pod": name}) for at, name in names)).look(0)
        assert [found.service.key for found in seen.discovered] == ["a/lamp", "a/other-lamp", "b/lamp"]
        assert [skip.namespace for skip in seen.skipped] == ["a", "b"]

    def test_what_is_ruled_out_is_told_and_what_nothing_speaks_of_is_not(self) -> None:
        seen = Cluster(service("lamp-exporter"), service("checkout")).look(0)
        assert [skip.name for skip in seen.skipped] == ["lamp-exporter"]

    def test_only_watched_namespaces_are_looked_at(self) -> None:
        config = Config(exclude_namespaces=("secret",))
        cluster = Cluster(service("lamp", "secret"), service("lamp-exporter", "secret"), config=config)
        assert cluster.look(0) == Discovery()

    def test_a_headless_service_has_no_address_to_ask(self) -> None:
        cluster = Cluster(service("lamp", cluster_ip=""))
        [skip] = cluster.look(0).skipped
        assert skip.reason == "looks like Lamp, but is headless, and no ready endpoint is known to ask"
        assert cluster.prober.asked == []

    def test_nothing_needs_an_address_where_nothing_is_asked(self) -> None:
        seen = recognise([service("lamp", cluster_ip="")], LAMPS, CONFIG, "cluster.local")
        [found] = Discoverer(CONFIG).discover(seen, NoProber(), 0).discovered
        assert found.status is Status.UNPROVEN

    def test_the_prober_is_asked_about_all_candidates_of_a_service_in_one_question(self) -> None:
        cluster = Cluster(service("bell", labels={"lamp.io/cluster": "x"}))
        cluster.look(0)
        [question] = cluster.prober.asked
        assert [candidate.type for candidate in question.candidates] == ["lamp", "bell"]


class TestWhenToAsk:
    def due(self, cluster: Cluster, now: float) -> list[str]:
        return [question.candidates[0].service.key for question in cluster.due(now)]

    def test_what_is_healthy_is_asked_at_the_health_check_interval(self, lamp: Cluster) -> None:
        lamp.look(0)
        assert self.due(lamp, 29) == []
        assert self.due(lamp, 30) == ["shop/lamp"]
        assert self.due(lamp, 31) == [], "it is being asked"

    def test_what_fails_is_asked_after_1_2_4_and_at_most_60_seconds(self, lamp: Cluster) -> None:
        lamp.says(Outcome.MISMATCH)
        lamp.look(0)
        now, waits = 0.0, []
        for _ in range(8):
            now, before = lamp.next_due(now), now
            waits.append(now - before)
            lamp.ask_due(now)
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60]

    def test_only_what_changed_is_asked_again(self) -> None:
        cluster = Cluster(service("lamp", "a", uid="1"), service("lamp", "b", uid="2"))
        cluster.look(0)
        cluster.services[1] = service("lamp", "b", uid="2", ports=["web:8080"])
        cluster.see(1)
        assert self.due(cluster, 1) == ["b/lamp"]

    def test_when_one_begins_to_fail_three_others_are_asked_at_once_as_witnesses(self) -> None:
        cluster = Cluster(*(service("lamp", namespace, uid=namespace) for namespace in "abcdefgh"))
        for number in range(8):
            cluster.look(number)
        cluster.services[0] = service("lamp", "a", uid="a", ports=["web:8080"])
        cluster.see(10)
        cluster.says(Outcome.UNREACHABLE, "a/lamp")
        cluster.ask_due(10)
        assert len(self.due(cluster, 10)) == WITNESSES == 3

    def test_what_fails_is_asked_when_its_endpoints_change(self, lamp: Cluster) -> None:
        lamp.says(Outcome.UNREACHABLE)
        lamp.look(0)
        lamp.prompt(0.5, "shop/lamp")
        assert self.due(lamp, 0.5) == ["shop/lamp"]

    def test_an_answer_to_what_has_changed_since_is_of_no_use(self, lamp: Cluster) -> None:
        lamp.see(0)
        [question] = lamp.due(0)
        lamp.services = [service("lamp", uid="1", ports=["web:8080"])]
        lamp.see(1)
        lamp.answer(question, 1)
        assert lamp.known(1).discovered == ()


class TestCache:
    def test_the_first_look_asks_for_a_proof(self, lamp: Cluster) -> None:
        lamp.look(0)
        assert lamp.asked_for_proof()

    def test_while_a_proof_is_good_only_health_is_asked(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.look(99)
        assert not lamp.asked_for_proof()

    def test_a_proof_that_is_too_old_is_asked_for_again(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.look(100)
        assert lamp.asked_for_proof()
        lamp.look(199)
        assert not lamp.asked_for_proof()
        lamp.look(200)
        assert lamp.asked_for_proof()

    def test_health_checks_alone_do_not_renew_a_proof(self, lamp: Cluster) -> None:
        lamp.look(0)
        for now in range(10, 100, 10):
            lamp.look(now)
            assert not lamp.asked_for_proof()
        lamp.look(101)
        assert lamp.asked_for_proof()

    def test_what_fails_must_prove_itself_again(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.says(Outcome.NOT_SERVING)
        lamp.look(1)
        assert not lamp.asked_for_proof()
        lamp.look(2)
        assert lamp.asked_for_proof()
        lamp.says(Outcome.VERIFIED)
        lamp.look(3)
        assert lamp.asked_for_proof()
        lamp.look(4)
        assert not lamp.asked_for_proof()

    @pytest.mark.parametrize(
        "changed",
        [
            service("lamp", uid="1", ports=["web:8080"]),
            service("lamp", uid="1", cluster_ip="10.96.0.2"),
            service("lamp", uid="1", selector={"pod": "other"}),
            service("lamp", uid="1", annotations=asking(endpoint="/x")),
        ],
    )
    def test_a_service_that_changed_must_prove_itself_again(self, lamp: Cluster, changed: Service) -> None:
        lamp.look(0)
        lamp.services = [changed]
        lamp.look(1)
        assert lamp.asked_for_proof()

    def test_what_needs_credentials_is_asked_for_a_proof_each_time(self, lamp: Cluster) -> None:
        lamp.says(Outcome.NEEDS_CREDENTIALS)
        lamp.look(0)
        lamp.look(1)
        assert lamp.asked_for_proof()
