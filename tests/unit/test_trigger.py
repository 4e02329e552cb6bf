"""When the loop acts: a burst is one pass, and nothing waits for long."""

from sidecar.trigger import LONGEST_SECONDS, SETTLE_SECONDS, Trigger


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_ripe_once_the_burst_has_settled() -> None:
    clock = Clock()
    trigger = Trigger(clock)
    assert not trigger.ripe()
    trigger.pull()
    assert not trigger.ripe()
    clock.now += SETTLE_SECONDS
    assert trigger.ripe()


def test_a_burst_that_does_not_end_is_acted_upon_all_the_same() -> None:
    clock = Clock()
    trigger = Trigger(clock)
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
