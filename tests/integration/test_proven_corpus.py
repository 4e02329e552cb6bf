"""Finding with proofs: each Service of the corpus answered on loopback by what its workload would say."""

from __future__ import annotations

import pytest

from tests.corpus import impostors, proven, score
from tests.corpus.standins import REFUSED, voices
from tests.realparts import unavailable

RECORDS = score.load()


@pytest.fixture(scope="module", autouse=True)
def _ports_of_the_corpus() -> None:
    if not proven.can_listen():
        unavailable("the corpus has Services on ports below 1024: run as root, or with CAP_NET_BIND_SERVICE")


@pytest.fixture(scope="module")
def result() -> score.Score:
    return score.score(RECORDS, proven.choices(RECORDS))


def test_nothing_is_found_that_is_not_there(result: score.Score) -> None:
    assert result.precision == 1.0, result.details


def test_what_is_there_is_found(result: score.Score) -> None:
    assert result.recall >= 0.99, result.details


def test_the_whole_url_is_right(result: score.Score) -> None:
    assert result.url() >= 0.99, result.details


@pytest.mark.parametrize("who", impostors.WORST)
def test_an_impostor_never_gets_in(who: str) -> None:
    """Whatever a Service is called: a Grafana as prometheus, an exporter on 9090, an agent, a page."""
    assert not list(impostors.let_in(RECORDS, who))


def test_stand_ins_of_what_is_to_be_found_say_something() -> None:
    for record in RECORDS:
        if record["expect"]["kind"] and not record["expect"].get("optional"):
            spoken = voices(record)[record["expect"]["port"]]
            assert spoken is not None, f"{record['id']}: {REFUSED}"
            assert spoken.replies or spoken.wire, record["id"]
