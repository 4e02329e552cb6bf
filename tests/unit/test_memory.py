"""What is remembered of a Service over time: through outages, flapping, a network that is gone, a restart."""

import pytest

from sidecar.config import Config
from sidecar.prove import Outcome
from tests.unit.builders import asking, service
from tests.unit.discovering import FAILING, Cluster
from toolset.discovered import Discovery, Status
from toolset.remembered import Remembered


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
