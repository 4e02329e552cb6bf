"""Events: repeats are counted, and what cannot be told keeps nothing from being done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar.connection import ClusterError, NotFoundError
from sidecar.events import ACCOUNT, Recorder, config_map
from tests.realparts import until

OURS = config_map("shop", "kubernaut-toolset-config", "1")


@dataclass
class Cluster:
    """Keeps Events by name."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    away: bool = False

    def create_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        if self.away:
            raise ClusterError("cannot reach the API server")
        name = f"event-{len(self.events)}"
        self.events[name] = {**event, "metadata": {**event["metadata"], "name": name}}
        return self.events[name]

    def patch_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        if name not in self.events:
            raise NotFoundError("no such event", 404)
        self.events[name] |= changes
        return self.events[name]

    def username(self) -> str:
        return "system:serviceaccount:own:us"

    def told(self) -> list[tuple[str, int]]:
        return [(event["message"], event["count"]) for event in self.events.values()]


def test_a_repeat_is_counted() -> None:
    cluster = Cluster()
    recorder = Recorder(cluster)
    for _ in range(3):
        recorder.tell(OURS, "Warning", "Drift", "changed")
    recorder.tell(OURS, "Warning", "Drift", "changed otherwise")
    assert cluster.told() == [("changed", 3), ("changed otherwise", 1)]


def test_one_that_the_api_server_forgot_is_made_anew() -> None:
    cluster = Cluster()
    recorder = Recorder(cluster)
    recorder.tell(OURS, "Warning", "Drift", "changed")
    cluster.events.clear()
    recorder.tell(OURS, "Warning", "Drift", "changed")
    assert cluster.told() == [("changed", 1)]


def test_it_names_our_account_and_what_it_is_about() -> None:
    cluster = Cluster()
    Recorder(cluster).tell(OURS, "Normal", "Drift", f"put right by {ACCOUNT}")
    [event] = cluster.events.values()
    assert event["message"] == "put right by system:serviceaccount:own:us"
    assert event["involvedObject"]["name"] == "kubernaut-toolset-config"
    assert event["source"]["component"] == "kubernaut-dynamic-toolsets"


def test_in_an_outage_it_goes_on_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(away=True)
    recorder = Recorder(cluster)
    recorder.start()
    for number in range(1500):
        recorder.record(OURS, "Normal", "Drift", str(number))
    until(lambda: "an Event was not told" in caplog.text, "it is told", seconds=5)
    cluster.away = False

    def goes_on() -> bool:
        recorder.record(OURS, "Normal", "Drift", "last")
        return any(message == "last" for message, _ in cluster.told())

    until(goes_on, "it goes on", seconds=10)
    assert caplog.text.count("an Event was not told") == 1
    recorder.stop()
