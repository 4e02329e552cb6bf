"""What is remembered of passes, and since when a Service is as it is."""

import pytest
from prometheus_client import CollectorRegistry

from sidecar.metrics import Metrics
from sidecar.report import KEPT_PASSES, Passed, Teller
from tests.unit.builders import backend, catalogue, discovered, service
from toolset.discovered import Discovery, Status

LAMPS = catalogue(backend("lamp"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("sidecar.report.time.time", lambda: now[0])
    return now


@pytest.fixture
def teller() -> Teller:
    return Teller(Metrics(CollectorRegistry()))


def lamp(status: Status = Status.VERIFIED) -> Discovery:
    return Discovery((discovered(service("lamp"), status=status, within=LAMPS),))


def passed(teller: Teller, discovery: Discovery, *failures: str) -> None:
    teller.passed(Passed(discovery, failures, 0.5), "a cluster")


def test_the_newest_pass_comes_first_and_only_the_last_are_kept(teller: Teller, clock: list[float]) -> None:
    for number in range(KEPT_PASSES + 5):
        clock[0] = float(number)
        passed(teller, lamp())
    assert len(teller.report.passes) == KEPT_PASSES
    assert [one.ended_at for one in teller.report.passes[:2]] == [KEPT_PASSES + 4, KEPT_PASSES + 3]


def test_passes_that_fail_for_the_same_reason_are_one_entry(teller: Teller, clock: list[float]) -> None:
    passed(teller, lamp())
    for number in range(100):
        clock[0] = 2000.0 + number
        teller.failed("no route")
    first, second = teller.report.passes
    assert (first.failures, first.times, first.ended_at) == (("no route",), 100, 2099.0)
    assert (second.discovered, second.times) == (1, 1)


def test_a_service_is_as_it_is_since_that_was_first_seen(teller: Teller, clock: list[float]) -> None:
    passed(teller, lamp())
    clock[0] = 2000.0
    passed(teller, lamp())
    assert teller.report.since == {"shop/lamp": 1000.0}
    teller.news(lamp(Status.UNHEALTHY), ())
    assert teller.report.since == {"shop/lamp": 2000.0}
    clock[0] = 3000.0
    passed(teller, Discovery())
    assert teller.report.since == {}
    assert teller.report.changed_at == 3000.0
