"""Who leads, with clocks of our own: what must hold when they are apart, and when the API server is away."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar import leader
from sidecar.connection import ClusterError, ConflictError
from sidecar.leader import DURATION_SECONDS, RENEW_SECONDS, RETRY_SECONDS, Election


@dataclass
class Leases:
    """One Lease, replaced only by who has seen it as it is."""

    lease: dict[str, Any] | None = None
    version: int = 0
    away: set[str] = field(default_factory=set)


@dataclass
class Client:
    """One replica's way to the Lease."""

    leases: Leases
    who: str

    def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        self._reach()
        return None if self.leases.lease is None else {**self.leases.lease}

    def write_lease(self, lease: dict[str, Any]) -> dict[str, Any]:
        self._reach()
        seen = lease["metadata"].get("resourceVersion")
        there = self.leases.lease and self.leases.lease["metadata"]["resourceVersion"]
        if seen != there:
            raise ConflictError("somebody was faster", 409)
        self.leases.version += 1
        metadata = {**lease["metadata"], "resourceVersion": str(self.leases.version)}
        self.leases.lease = {**lease, "metadata": metadata}
        return self.leases.lease

    def _reach(self) -> None:
        if self.who in self.leases.away:
            raise ClusterError("cannot reach the API server")


class Clock:
    """A monotonic clock; each machine's begins somewhere else, and may run a little faster."""

    def __init__(self, begins: float, rate: float = 1.0) -> None:
        self.now = begins
        self.rate = rate

    def monotonic(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds * self.rate


class World:
    """Two replicas whose clocks are hours apart, one of them 5 % fast."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leases = Leases()
        self.clocks = {"a": Clock(1000.0), "b": Clock(90000.0, 1.05)}
        self._monkeypatch = monkeypatch
        self.replicas = {name: Election(Client(self.leases, name), "own", name) for name in self.clocks}

    def at(self, name: str) -> Election:
        """A replica, on its own machine."""
        self._monkeypatch.setattr(leader, "time", self.clocks[name])
        return self.replicas[name]

    def leads(self, name: str) -> bool:
        return self.at(name).leads

    def pass_(self, seconds: float, turning: str = "ab") -> list[str]:
        """Time passes, in steps of 2 s; who led at any time, as one string each."""
        seen = []
        for _ in range(int(seconds / 2)):
            for clock in self.clocks.values():
                clock.pass_(2)
            for name in turning:
                self.at(name).turn()
            seen.append("".join(name for name in self.replicas if self.leads(name)))
        return seen


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_first_leads_and_goes_on_leading(world: World) -> None:
    assert set(world.pass_(120)) == {"a"}


def test_never_two_lead_whoever_is_cut_off_and_the_gap_is_short(world: World) -> None:
    for cut_off, other in (("a", "b"), ("b", "a"), ("a", "b")):
        assert world.pass_(10)[-1] == cut_off
        world.leases.away = {cut_off}
        seen = world.pass_(40)
        assert all(len(leaders) <= 1 for leaders in seen)
        assert seen[-1] == other
        assert seen.count("") * 2 <= 20 - RENEW_SECONDS, "nobody leads for less than 20 s"
        world.leases.away = set()


def test_a_leader_that_hangs_leads_no_more_before_another_begins(world: World) -> None:
    """Its thread does not turn: nothing tells it, its own clock does."""
    world.pass_(10)
    seen = world.pass_(40, turning="b")
    assert all(len(leaders) <= 1 for leaders in seen)
    assert seen[-1] == "b"


def test_a_leader_that_ends_gives_it_back_at_once(world: World) -> None:
    world.pass_(10)
    world.at("a").stop()
    assert not world.leads("a")
    assert world.pass_(2, turning="b") == ["b"]


def test_who_comes_new_waits_the_whole_duration_however_old_the_lease_is(world: World) -> None:
    """The times in it are of another machine's clock, and say nothing."""
    world.pass_(10, turning="a")
    world.leases.away = {"a"}
    seen = world.pass_(40, turning="b")
    assert seen.index("b") * 2 * 1.05 >= DURATION_SECONDS - 2


def test_who_waits_looks_in_the_moment_in_which_the_lease_lapses(world: World) -> None:
    """Else a leader that dies would be missed for up to another turn."""
    world.pass_(10)
    world.clocks["b"].pass_(DURATION_SECONDS - 1)
    assert world.at("b").turn() < RETRY_SECONDS / 2 + 0.1
    assert world.at("a").turn() > RETRY_SECONDS / 2 + 0.1


def test_both_at_once_is_one_and_a_conflict_is_none_of_the_others_business(world: World) -> None:
    world.at("a").turn()
    world.at("b").turn()
    assert [world.leads(name) for name in "ab"] == [True, False]
    assert world.replicas["b"].holder == "a"


def test_a_lease_that_somebody_emptied_or_deleted_is_taken_again(world: World) -> None:
    world.pass_(10)
    assert world.leases.lease is not None
    world.leases.lease["spec"] = {}
    assert world.pass_(2) == ["a"]
    world.leases.lease = None
    assert len(world.pass_(4)[-1]) == 1
