"""Recognition offline, from the Services alone: on real charts, and on further layouts."""

from __future__ import annotations

import pytest

from sidecar.config import Config
from sidecar.discovery import Discoverer
from sidecar.prove import NoProber
from sidecar.recognised import recognise
from tests.bench.corpus import cpu_seconds
from tests.corpus import baselines, layouts, offline, score
from toolset.catalogue import bundled
from toolset.discovered import Discovery

RECORDS = score.load()


@pytest.fixture(scope="module")
def result() -> score.Score:
    return score.score(RECORDS, offline.choices(RECORDS))


def look(layout: layouts.Layout) -> Discovery:
    recognised = recognise(layout.services, bundled(), Config(), offline.DOMAIN)
    return Discoverer(Config()).discover(recognised, NoProber(), 0.0)


def test_what_is_chosen_is_right(result: score.Score) -> None:
    assert result.precision >= 0.98, result.details


def test_what_is_there_is_found(result: score.Score) -> None:
    assert result.recall >= 0.97, result.details


def test_scheme_and_port_are_right(result: score.Score) -> None:
    assert result.url("base") >= 0.97, result.details


def test_the_whole_url_is_right_as_far_as_a_service_shows_it(result: score.Score) -> None:
    assert result.url() >= 0.88, result.details


def test_with_the_workloads_the_whole_url_is_right() -> None:
    """Arguments, environment, probes and configuration tell the prefix that a Service cannot show."""
    result = score.score(RECORDS, offline.choices(RECORDS, workloads=True))
    assert result.url() >= 0.97, result.details
    assert result.precision >= 0.98, result.details
    assert result.recall >= 0.97, result.details


def test_it_beats_those_before() -> None:
    mine = score.score(RECORDS, offline.choices(RECORDS), "core")
    former = score.score(RECORDS, baselines.former(RECORDS), "core")
    holmes = score.score(RECORDS, baselines.holmesgpt(RECORDS), "core")
    assert mine.precision > max(former.precision, holmes.precision)
    assert mine.recall > max(former.recall, holmes.recall)


@pytest.mark.parametrize("layout", layouts.load(), ids=lambda layout: layout.source)
def test_other_layouts_are_known_too(layout: layouts.Layout) -> None:
    found = {
        it.service.name: f"{it.type} {it.endpoint.scheme}:{it.endpoint.port}{it.endpoint.path}"
        for it in look(layout).discovered
        if it.service.name not in layout.unjudged
    }
    assert found == layout.expect


@pytest.mark.parametrize("layout", layouts.load(), ids=lambda layout: layout.source)
def test_what_is_left_out_says_why(layout: layouts.Layout) -> None:
    assert all(skip.reason for skip in look(layout).skipped)


def test_ten_thousand_services_cost_half_a_second_of_cpu_at_most() -> None:
    assert cpu_seconds() < 0.5
