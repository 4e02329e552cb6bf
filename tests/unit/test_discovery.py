"""What is remembered from one look at the cluster to the next, with a prober that answers by a script."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from sidecar.config import Config
from sidecar.discovery import WITNESSES, Discoverer
from sidecar.prove import NoProber, Outcome, Question, Verdict
from sidecar.recognised import recognise
from tests.unit.builders import asking, backend, catalogue, service
from toolset.catalogue import Catalogue
from toolset.discovered import Discovery, Skipped, Status
from toolset.remembered import Remembered
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
        self._discoverer = Discoverer(config)

    def look(self, now: float) -> Discovery:
        seen = recognise(self.services, self._within, self.config, "cluster.local")
        return self._discoverer.discover(seen, self.prober, now)

    def see(self, now: float) -> None:
        self._discoverer.see(recognise(self.services, self._within, self.config, "cluster.local"), now)

    def remember(self, remembered: dict[str, Remembered]) -> None:
        self._discoverer.remember(remembered)

    def network_down(self, now: float) -> bool:
        return self._discoverer.network_down(now)

    def next_due(self, now: float) -> float:
        return self._discoverer.next_due(now)

    def due(self, now: float) -> list[Question]:
        return self._discoverer.questions(now)

    def prompt(self, now: float, key: str) -> None:
        self._discoverer.prompt(now, [key])

    def ask_due(self, now: float) -> None:
        for question in self.due(now):
            self.answer(question, now)

    def answer(self, question: Question, now: float) -> None:
        self._discoverer.learn(question, self.prober.ask([question])[0], now)

    def known(self, now: float) -> Discovery:
        return self._discoverer.known(now)

    def reconfigure(self, config: Config) -> None:
        self.config = config
        self._discoverer.reconfigure(config, asks=True)

    def says(self, outcome: Outcome, key: str = "shop/lamp") -> None:
        self.prober.says[key] = outcome

    def status(self, now: float) -> Status | None:
        """The status of the only Service; None where it is not discovered."""
        discovered = self.look(now).discovered
        return discovered[0].status if discovered else None

    def fails(self, since: float, key: str = "shop/lamp") -> Discovery:
        """It fails from then on, and for long enough to be called unhealthy."""
        self.says(Outcome.UNREACHABLE, key)
        for seconds in range(4):
            seen = self.look(since + seconds)
        return seen

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
        [found] = Discoverer(CONFIG).discover(seen, NoProber(), 0).discovered
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
        assert [lamp.status(now) for now in (1, 2, 3)] == [Status.VERIFIED, Status.VERIFIED, Status.UNHEALTHY]
        [found] = lamp.look(4).discovered
        assert found.evidence[-2:] == ("verified before", f"said {outcome}")

    def test_it_stays_at_the_endpoint_that_was_verified(self, lamp: Cluster) -> None:
        [before] = lamp.look(0).discovered
        [after] = lamp.fails(1).discovered
        assert (after.endpoint, after.verify_ssl) == (before.endpoint, before.verify_ssl)

    def test_it_goes_when_it_has_failed_for_longer_than_the_retention(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.fails(10)
        assert lamp.status(1010) is Status.UNHEALTHY
        seen = lamp.look(1011)
        assert seen.discovered == ()
        assert seen.skipped[0].reason.endswith("said unreachable; for longer than unhealthy_retention")

    def test_the_retention_counts_from_the_first_failure_not_from_the_proof(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.look(5000)
        lamp.fails(5001)
        assert lamp.status(5900) is Status.UNHEALTHY

    def test_a_recovery_starts_the_retention_anew(self, lamp: Cluster) -> None:
        lamp.look(0)
        for start in (1000, 3000):
            lamp.fails(start)
            lamp.says(Outcome.VERIFIED)
            assert lamp.status(start + 900) is Status.VERIFIED

    def test_what_comes_back_after_the_retention_is_verified_again(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.fails(1)
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

    def test_what_asked_for_a_login_still_does_while_it_is_away(self, lamp: Cluster) -> None:
        lamp.says(Outcome.NEEDS_CREDENTIALS)
        lamp.look(0)
        [found] = lamp.fails(1).discovered
        assert found.status is Status.NEEDS_CREDENTIALS
        assert "does not answer now" in found.evidence
        assert lamp.status(5000) is None

    def test_what_is_known_survives_a_new_configuration(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.reconfigure(Config())
        assert lamp.fails(1).discovered[0].status is Status.UNHEALTHY


class TestFlapping:
    def test_a_blink_changes_nothing(self, lamp: Cluster) -> None:
        lamp.look(0)
        for now in range(10, 100, 10):
            lamp.says(Outcome.UNREACHABLE)
            assert lamp.status(now) is Status.VERIFIED
            lamp.says(Outcome.VERIFIED)
            assert lamp.status(now + 1) is Status.VERIFIED

    def test_each_outage_must_last_longer_than_the_one_before(self, lamp: Cluster) -> None:
        lamp.look(0)
        lasting = []
        for outage in (100, 200, 300, 400):
            lamp.says(Outcome.UNREACHABLE)
            lasting.append(next(s for s in range(60) if lamp.status(outage + s) is Status.UNHEALTHY))
            lamp.says(Outcome.VERIFIED)
            assert lamp.status(outage + 70) is Status.VERIFIED, "recovered is back at once"
        assert lasting == [2, 4, 8, 16]

    def test_what_was_healthy_for_long_is_not_flapping_any_more(self, lamp: Cluster) -> None:
        lamp.look(0)
        lamp.fails(100)
        lamp.says(Outcome.VERIFIED)
        lamp.look(110)
        lamp.look(1000)
        lamp.says(Outcome.UNREACHABLE)
        assert [lamp.status(1000 + s) for s in (1, 2, 3)][-1] is Status.UNHEALTHY


class TestTheNetwork:
    """Two lamps: when both are away at once, it is more likely the way to them that is gone."""

    @pytest.fixture
    def lamps(self) -> Cluster:
        cluster = Cluster(service("lamp", "a", uid="1"), service("lamp", "b", uid="2"))
        cluster.look(0)
        return cluster

    def statuses(self, seen: Discovery) -> list[Status]:
        return [found.status for found in seen.discovered]

    def test_all_failing_at_once_changes_nothing_however_long(self, lamps: Cluster) -> None:
        for key in ("a/lamp", "b/lamp"):
            lamps.says(Outcome.UNREACHABLE, key)
        for now in (10, 11, 12, 20, 100, 1500, 5000):
            assert self.statuses(lamps.look(now)) == [Status.VERIFIED] * 2
            assert lamps.network_down(now) is (now >= 12)

    def test_one_alone_is_its_own_fault(self, lamps: Cluster) -> None:
        assert self.statuses(lamps.fails(10, "a/lamp")) == [Status.UNHEALTHY, Status.VERIFIED]
        assert not lamps.network_down(20)

    def test_what_failed_long_before_is_no_witness(self, lamps: Cluster) -> None:
        lamps.fails(10, "a/lamp")
        assert self.statuses(lamps.fails(100, "b/lamp")) == [Status.UNHEALTHY] * 2

    def test_what_answers_wrongly_fails_by_itself(self, lamps: Cluster) -> None:
        for key in ("a/lamp", "b/lamp"):
            lamps.says(Outcome.NOT_SERVING, key)
        for now in (10, 11, 12):
            seen = lamps.look(now)
        assert self.statuses(seen) == [Status.UNHEALTHY] * 2

    def test_when_one_comes_back_the_other_is_judged(self, lamps: Cluster) -> None:
        for key in ("a/lamp", "b/lamp"):
            lamps.says(Outcome.UNREACHABLE, key)
        for now in (10, 11, 12):
            lamps.look(now)
        lamps.says(Outcome.VERIFIED, "a/lamp")
        assert self.statuses(lamps.look(13)) == [Status.VERIFIED, Status.UNHEALTHY]


class TestRestart:
    """What an earlier process had published is taken up, if the Service still is what it was."""

    def remembered(self, **changes: object) -> dict[str, Remembered]:
        known = {
            "key": "shop/lamp",
            "uid": "1",
            "type": "lamp",
            "url": "http://lamp.shop.svc.cluster.local:9090",
            "status": Status.VERIFIED,
            "verify_ssl": True,
        }
        return {"shop/lamp": Remembered(**{**known, **changes})}  # type: ignore[arg-type]

    @pytest.mark.parametrize("status", [Status.VERIFIED, Status.UNHEALTHY])
    def test_what_was_proven_stays_though_it_is_away_now(self, lamp: Cluster, status: Status) -> None:
        lamp.remember(self.remembered(status=status))
        lamp.says(Outcome.UNREACHABLE)
        assert lamp.status(0) is status
        assert lamp.status(5000) is None, "but no longer than the retention"

    @pytest.mark.parametrize(
        "changes",
        [
            {"uid": "2"},
            {"type": "bell"},
            {"url": "http://lamp.shop.svc.cluster.local:1"},
            {"url": "http://lamp.evil.svc.cluster.local:9090"},
            {"url": "tcp://lamp.shop.svc.cluster.local:9090"},
            {"url": "http://lamp.shop.svc.cluster.local:9090/{{ env.SECRET }}"},
            {"url": "http://["},
        ],
    )
    def test_what_is_not_that_any_more_is_not_believed(
        self, lamp: Cluster, changes: dict[str, object]
    ) -> None:
        lamp.remember(self.remembered(**changes))
        lamp.says(Outcome.UNREACHABLE)
        assert lamp.status(0) is None

    def test_it_must_prove_itself_again(self, lamp: Cluster) -> None:
        lamp.remember(self.remembered())
        lamp.look(0)
        assert lamp.asked_for_proof()


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
