"""What is told of answers that come between passes: "none" is not the last word until the next pass."""

import logging

import pytest
from prometheus_client import CollectorRegistry

from sidecar.metrics import SUCCESS, Metrics
from sidecar.report import Passed, Teller
from tests.unit.builders import service
from tests.unit.discovering import MARK, Cluster
from toolset.discovered import Discovery

LAMP = Cluster(service("lamp", labels=MARK)).look(0)


def told(teller: Teller, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines that say how many were discovered."""
    return [record.getMessage() for record in caplog.records if "services" in record.getMessage()]


def count(metrics: Metrics) -> float:
    """What the runbook looks at, to see whether anything was ever discovered."""
    value = metrics.registry.get_sample_value("toolset_services_discovered_total", {"status": SUCCESS})
    assert value is not None
    return value


def test_a_service_that_answers_after_the_pass_is_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(CollectorRegistry())
    teller = Teller(metrics)
    with caplog.at_level(logging.INFO):
        teller.passed(Passed(Discovery(), (), 0.1, unanswered=1), "the cluster")
        assert count(metrics) == 0
        teller.news(LAMP, ())
    assert told(teller, caplog) == [
        "No services discovered in the cluster",
        "discovered 1 services: answers came after the pass",
    ]
    assert count(metrics) == 1


def test_answers_that_change_nothing_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(CollectorRegistry())
    teller = Teller(metrics)
    teller.passed(Passed(LAMP, (), 0.1), "the cluster")
    with caplog.at_level(logging.INFO):
        teller.news(LAMP, ())
    assert told(teller, caplog) == []
    assert count(metrics) == 1


def test_one_that_goes_is_told_and_takes_nothing_from_the_counter(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(CollectorRegistry())
    teller = Teller(metrics)
    teller.passed(Passed(LAMP, (), 0.1), "the cluster")
    with caplog.at_level(logging.INFO):
        teller.news(Discovery(), ())
    assert told(teller, caplog) == ["discovered 0 services: answers came after the pass"]
    assert count(metrics) == 1
