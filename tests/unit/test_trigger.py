"""When the loop acts: a burst is one pass, and nothing waits for long."""

import pytest

from sidecar import trigger as module
from sidecar.trigger import LONGEST_SECONDS, SETTLE_SECONDS, Trigger


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_it_is_ripe_once_the_burst_has_settled(clock: Clock) -> None:
    trigger = Trigger()
    assert not trigger.ripe()
    trigger.pull()
    assert not trigger.ripe()
    clock.now += SETTLE_SECONDS
    assert trigger.ripe()


def test_a_burst_that_does_not_end_is_acted_upon_all_the_same(clock: Clock) -> None:
    trigger = Trigger()
    began = clock.now
    while not trigger.ripe():
        trigger.pull()
        clock.now += SETTLE_SECONDS / 2
    assert clock.now - began <= LONGEST_SECONDS + SETTLE_SECONDS


def test_what_is_taken_is_taken_once() -> None:
    trigger = Trigger()
    trigger.pull(whole=True)
    trigger.pull()
    assert trigger.pulled
    assert trigger.take() is True
    assert not trigger.pulled
    assert trigger.take() is False


def test_being_woken_is_no_reason_to_act() -> None:
    trigger = Trigger()
    trigger.wake()
    trigger.wait(60)  # returns at once
    assert not trigger.pulled
