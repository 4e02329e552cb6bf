"""Probes in the background: nobody waits for those that do not answer."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from sidecar.asker import Asker
from sidecar.prove import NetworkProber, NoProber, Outcome, Question, Verdict
from tests.realparts import until
from tests.unit.builders import backend, catalogue, service
from toolset.classify import classify

LAMPS = catalogue(backend("lamp"))


class Scripted(NetworkProber):
    """Answers by the name of the Service: at once, never, or with a bug."""

    def __init__(self, concurrency: int = 64) -> None:
        super().__init__(cluster_domain="cluster.local", concurrency=concurrency)

    async def ask_one(self, session: object, question: Question) -> Verdict:
        candidate = question.candidates[0]
        if "dead" in candidate.service.name:
            await asyncio.sleep(600)
        if "bug" in candidate.service.name:
            raise RuntimeError("a bug")
        return Verdict(candidate, candidate.endpoints[0], Outcome.VERIFIED)


def question(name: str, namespace: str = "shop") -> Question:
    return Question(classify(service(name, namespace), LAMPS, "cluster.local").candidates)


@pytest.fixture
def asker() -> Iterator[Asker]:
    made = Asker()
    yield made
    made.close()


def answers(asker: Asker, count: int, seconds: float = 5) -> list[Verdict]:
    got: list[Verdict] = []

    def enough() -> bool:
        got.extend(verdict for _, verdict in asker.take())
        return len(got) >= count

    until(enough, f"{count} answers", seconds=seconds)
    return got


def test_dead_ones_delay_nobody_even_if_they_take_every_place(asker: Asker) -> None:
    dead = [question(f"lamp-dead-{n}") for n in range(20)]
    began = time.monotonic()
    asker.submit(Scripted(concurrency=4), [*dead, question("lamp")])
    [verdict] = answers(asker, 1)
    assert verdict.outcome is Outcome.VERIFIED
    assert time.monotonic() - began < 5, "twenty deadlines, four at a time, are 75 s"


def test_thousands_of_one_namespace_that_never_answer_keep_no_other_namespace_waiting(asker: Asker) -> None:
    dead = [question(f"lamp-dead-{n}", "evil") for n in range(5000)]
    asker.submit(Scripted(), [*dead, question("lamp", "shop")])
    began = time.monotonic()
    [verdict] = answers(asker, 1, seconds=30)
    assert verdict.candidate.service.key == "shop/lamp"
    assert time.monotonic() - began < 15, "five thousand, 64 at a time, are 39 s, or as many deadlines"


def test_each_answer_comes_with_its_question_and_wakes_who_waits() -> None:
    woken: list[int] = []
    asker = Asker(lambda: woken.append(1))
    asked = question("lamp")
    asker.submit(NoProber(), [asked])
    [(answered, verdict)] = asker.take()
    assert answered is asked
    assert verdict.outcome is Outcome.NOT_ASKED
    assert woken == [1]
    asker.close()


def test_a_bug_is_an_answer_too(asker: Asker, caplog: pytest.LogCaptureFixture) -> None:
    asker.submit(Scripted(), [question("lamp-bug"), question("lamp")])
    outcomes = {verdict.outcome for verdict in answers(asker, 2)}
    assert outcomes == {Outcome.UNREACHABLE, Outcome.VERIFIED}
    assert "please report it" in caplog.text


def test_it_is_alive_before_it_is_needed_and_while_it_runs(asker: Asker) -> None:
    assert asker.alive
    asker.submit(Scripted(), [question("lamp")])
    answers(asker, 1)
    assert asker.alive
