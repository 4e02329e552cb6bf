"""What is remembered from one look at the cluster to the next, with a prober that answers by a script."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from sidecar.config import Config
from sidecar.discovery import Discoverer, recognise
from sidecar.prove import NoProber, Outcome, Question, Verdict
from tests.unit.builders import asking, backend, catalogue, service
from toolset.catalogue import Catalogue
from toolset.discovered import Discovery, Skipped, Status
from toolset.service import Service

MARK = {"lamp.io/cluster": "*"}
LAMPS = catalogue(backend("lamp", recognise={"words": ["lamp"], "labels": [MARK]}), backend("bell"))
CONFIG = Config(cache_ttl=timedelta(seconds=100), unhealthy_retention=timedelta(seconds=1000))


@dataclass
class ScriptedProber:
    """Gives each Service the outcome that ``says`` has for it, and remembers what it was asked."""

    asks: bool = True
    says: dict[str, Outcome] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        self.asked = list(questions)
        return [self._verdict(question) for question in questions]

    def _verdict(self, question: Question) -> Verdict:
        candidate = question.proven.candidate if question.proven else question.candidates[0]
        outcome = self.says.get(candidate.service.key, Outcome.VERIFIED)
        return Verdict(candidate, candidate.endpoints[0], outcome, evidence=(f"said {outcome}",))


class Cluster:
    """A cluster of some Services that is looked at now and then."""

    def __init__(self, *services: Service, config: Config = CONFIG, within: Catalogue = LAMPS) -> None:
        self.services = list(services)
        self.config = config
        self.prober = ScriptedProber()
        self._within = within
        self._discoverer = Discoverer(self.prober, config)

    def look(self, now: float) -> Discovery:
        seen = recognise(self.services, self._within, self.config, "cluster.local")
        return self._discoverer.discover(seen, now)

    def reconfigure(self, config: Config) -> None:
        self.config = config
        self._discoverer.reconfigure(self.prober, config)

    def says(self, outcome: Outcome, key: str = "shop/lamp") -> None:
        self.prober.says[key] = outcome

    def status(self, now: float) -> Status | None:
        """The status of the only Service; None where it is not discovered."""
        discovered = self.look(now).discovered
        return discovered[0].status if discovered else None

    def asked_for_proof(self) -> bool:
        [question] = self.prober.asked
        return question.proven is None


@pytest.fixture
def lamp() -> Cluster:
    """A cluster of one lamp."""
    return Cluster(service("lamp", uid="1"))


FAILING = [Outcome.UNREACHABLE, Outcome.MISMATCH, Outcome.NOT_SERVING]


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
        [found] = Discoverer(NoProber(), CONFIG).discover(seen, 0).discovered
        assert found.status is Status.UNPROVEN

    def test_the_prober_is_asked_about_all_candidates_of_a_service_in_one_question(self) -> None:
        cluster = Cluster(service("bell", labels={"lamp.io/cluster": "x"}))
        cluster.look(0)
        [question] = cluster.prober.asked
        assert [candidate.type for candidate in question.candidates] == ["lamp", "bell"]


class TestMemory:
    @pytest.mark.parametrize("outcome", FAILING)
    def test_what_was_verified_and_then_fails_stays_as_unhealthy(
        self, lamp: Cluster, outcome: Outcome
    ) -> None:
        lamp.look(0)
        lamp.says(outcome)
        [found] = lamp.look(1).discovered
        assert found.status is Status.UNHEALTHY
        assert found.evidence[-2:] == ("verified before", f"said {outcome}")

    def test_it_stays_at_the_endpoint_that_was_verified(self, lamp: Cluster) -> None:
        [before] = lamp.look(0).discovered
        lamp.says(Outcome.UNREACHABLE)
        [after] = lamp.look(1).discovered
        assert (after.endpoint, after.verify_ssl) == (before.endpoint, before.verify_ssl)

    def test_it_goes_when_it_has_failed_for_longer_than_the_retention(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.says(Outcome.UNREACHABLE)
        assert lamp.status(10) is Status.UNHEALTHY
        assert lamp.status(1010) is Status.UNHEALTHY
        seen = lamp.look(1011)
        assert seen.discovered == ()
        assert seen.skipped[0].reason.endswith("said unreachable; for longer than unhealthy_retention")

    def test_the_retention_counts_from_the_first_failure_not_from_the_proof(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.look(5000)
        lamp.says(Outcome.UNREACHABLE)
        assert lamp.status(5001) is Status.UNHEALTHY
        assert lamp.status(5900) is Status.UNHEALTHY

    def test_a_recovery_starts_the_retention_anew(self, lamp: Cluster) -> None:
        lamp.look(0)
        for start in (1000, 3000):
            lamp.says(Outcome.UNREACHABLE)
            assert lamp.status(start) is Status.UNHEALTHY
            lamp.says(Outcome.VERIFIED)
            assert lamp.status(start + 900) is Status.VERIFIED

    def test_what_comes_back_after_the_retention_is_verified_again(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.says(Outcome.UNREACHABLE)
        lamp.look(1)
        assert lamp.status(5000) is None
        lamp.says(Outcome.VERIFIED)
        assert lamp.status(5001) is Status.VERIFIED

    def test_a_new_service_of_the_same_name_is_another(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.services = [service("lamp", uid="2")]
        lamp.says(Outcome.UNREACHABLE)
        assert lamp.status(1) is None

    def test_a_service_that_was_gone_is_another_when_it_comes_back(self, lamp: Cluster) -> None:
        before = lamp.services
        lamp.look(0)
        lamp.services = []
        assert lamp.look(1) == Discovery()
        lamp.services = before
        lamp.says(Outcome.UNREACHABLE)
        assert lamp.status(2) is None

    def test_a_service_that_is_disabled_goes_at_once_even_if_it_was_verified(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.services = [service("lamp", uid="1", annotations=asking("disabled"))]
        seen = lamp.look(1)
        assert seen.discovered == ()
        assert "disabled by its annotation" in seen.skipped[0].reason

    def test_what_asked_for_a_login_is_not_remembered_as_verified(self, lamp: Cluster) -> None:
        lamp.says(Outcome.NEEDS_CREDENTIALS)
        lamp.look(0)
        lamp.says(Outcome.UNREACHABLE)
        assert lamp.status(1) is None

    def test_what_is_known_survives_a_new_configuration(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.reconfigure(Config())
        lamp.says(Outcome.UNREACHABLE)
        assert lamp.status(1) is Status.UNHEALTHY


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
