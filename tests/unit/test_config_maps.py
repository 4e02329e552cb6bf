"""What is done about one generated ConfigMap, whatever is there already."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sidecar.config_maps import ConfigMaps, NotWrittenError
from sidecar.connection import ClusterError, ConflictError, ForbiddenError
from sidecar.generated import ADOPT, LABELS, manifest
from sidecar.metrics import Metrics
from toolset.names import GENERATED, HOLD_UNTIL

DATA = {"custom_toolset.yaml": "a", "toolset.json": "b", "services.yaml": "c"}


@dataclass
class Cluster:
    """Keeps what is applied; refuses while it is told to."""

    refuses: ClusterError | None = None
    applied: list[Mapping[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def apply_config_map(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        if self.refuses:
            raise self.refuses
        self.applied.append(obj)
        return {**obj, "metadata": {**obj["metadata"], "uid": "1", "resourceVersion": str(len(self.applied))}}

    def delete_config_map(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        self.deleted.append(namespace)


class Place:
    """The ConfigMap of the namespace shop."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.drifts: list[str] = []
        metrics = Metrics(CollectorRegistry())
        self._count = metrics.configmap_updates
        self.maps = ConfigMaps(
            self.cluster, metrics.configmap_updates, lambda _, __, action, ___: self.drifts.append(action)
        )

    def holds(self, data: Mapping[str, str], *, uid: str = "1", **metadata: Any) -> None:
        obj = manifest("shop", data)
        obj["metadata"] = {**obj["metadata"], "uid": uid, "resourceVersion": "7", **metadata}
        self.maps.store.put(obj)

    def counted(self, status: str) -> float:
        return float(self._count.labels(status)._value.get())


@pytest.fixture
def place() -> Place:
    return Place()


def test_where_there_is_none_it_is_made(place: Place) -> None:
    place.maps.put("shop", DATA)
    assert [obj["data"] for obj in place.cluster.applied] == [DATA]
    assert "shop" in place.maps.confirmed
    assert place.counted("success") == 1


def test_what_is_right_is_not_touched(place: Place) -> None:
    place.holds(DATA)
    place.maps.put("shop", DATA)
    assert place.cluster.applied == []
    assert "shop" in place.maps.confirmed


def test_what_was_written_is_known_at_once(place: Place) -> None:
    place.maps.put("shop", DATA)
    place.maps.put("shop", DATA)
    assert len(place.cluster.applied) == 1
    assert place.drifts == []


@pytest.mark.parametrize("data", [{}, {**DATA, "toolset.json": "x"}, {"toolset.json": "b"}])
def test_what_drifted_is_put_right_and_told(place: Place, data: dict[str, str]) -> None:
    place.maps.put("shop", DATA)
    place.holds(data)
    place.maps.put("shop", DATA)
    assert len(place.cluster.applied) == 2
    assert place.drifts == ["repaired"]


def test_drift_is_left_and_told_once_where_the_operator_says_so(place: Place) -> None:
    place.maps.put("shop", DATA)
    place.holds({})
    for _ in range(3):
        place.maps.put("shop", DATA, repair=False)
    assert len(place.cluster.applied) == 1
    assert place.drifts == ["ignored"]
    place.maps.put("shop", {**DATA, "toolset.json": "new"}, repair=False)
    assert len(place.cluster.applied) == 2, "what is new is written all the same"


def test_one_that_lost_every_mark_of_ours_is_still_ours(place: Place) -> None:
    place.maps.put("shop", DATA)
    place.holds({"toolset.json": "x"}, labels={})
    place.maps.put("shop", DATA)
    assert len(place.cluster.applied) == 2


def test_one_that_was_never_ours_is_left_alone(place: Place) -> None:
    place.holds({"toolset.json": "theirs"}, uid="9", labels={})
    with pytest.raises(
        NotWrittenError, match=f"delete it, or hand it over: kubectl annotate .* {ADOPT}=true"
    ):
        place.maps.put("shop", DATA)
    assert place.cluster.applied == []
    assert place.counted("failed") == 1
    place.maps.put("shop", None)
    assert place.cluster.deleted == [], "nor is it deleted"


def test_one_that_is_handed_over_is_ours(place: Place) -> None:
    place.holds({"notes": "theirs"}, uid="9", labels={}, annotations={ADOPT: "true"})
    place.maps.put("shop", DATA)
    assert len(place.cluster.applied) == 1


@pytest.mark.parametrize(
    ("ends_in", "held"),
    [(timedelta(hours=1), True), (timedelta(days=2), False), (timedelta(hours=-1), False)],
)
def test_a_hold_is_heard_until_it_ends_and_for_a_day_at_most(
    place: Place, ends_in: timedelta, held: bool
) -> None:
    until = (datetime.now(UTC) + ends_in).isoformat()
    place.holds({"toolset.json": "x"}, annotations={HOLD_UNTIL: until})
    place.maps.put("shop", DATA)
    assert (place.cluster.applied == []) is held


@pytest.mark.parametrize("nonsense", ["soon", "", "2026", None])
def test_a_hold_that_is_no_time_is_none(place: Place, nonsense: object) -> None:
    place.holds({"toolset.json": "x"}, annotations={HOLD_UNTIL: nonsense})
    place.maps.put("shop", DATA)
    assert len(place.cluster.applied) == 1


def test_where_nothing_is_discovered_any_more_it_goes(place: Place) -> None:
    place.holds(DATA)
    place.maps.put("shop", None)
    assert place.cluster.deleted == ["shop"]
    place.maps.put("shop", None)
    assert place.cluster.deleted == ["shop"]


def test_keys_of_others_stay_when_it_should_go(place: Place) -> None:
    place.holds({**DATA, "notes": "theirs"})
    place.maps.put("shop", None)
    assert place.cluster.deleted == []
    assert [obj["data"] for obj in place.cluster.applied] == [{}]


def test_one_that_is_being_deleted_is_waited_for(place: Place) -> None:
    place.holds({}, deletionTimestamp="2026-01-01T00:00:00Z")
    place.maps.put("shop", DATA)
    place.maps.put("shop", None)
    assert (place.cluster.applied, place.cluster.deleted) == ([], [])


def test_one_that_somebody_made_immutable_is_made_anew(place: Place) -> None:
    obj = {**manifest("shop", {}), "immutable": True}
    obj["metadata"] = {**obj["metadata"], "uid": "1", "resourceVersion": "1"}
    place.maps.store.put(obj)
    place.maps.put("shop", DATA)
    assert place.cluster.deleted == ["shop"]
    assert len(place.cluster.applied) == 1


@pytest.mark.parametrize(
    "error",
    [ForbiddenError("exceeded quota", 403), ConflictError("changed", 409), ClusterError("too large", 413)],
)
def test_a_refusal_is_told_with_its_reason_and_counted(place: Place, error: ClusterError) -> None:
    place.cluster.refuses = error
    with pytest.raises(NotWrittenError, match=f"shop/{GENERATED} .*{error}"):
        place.maps.put("shop", DATA)
    assert place.counted("failed") == 1
    place.cluster.refuses = None
    place.maps.put("shop", DATA)
    assert place.counted("success") == 1


def test_all_at_once_one_that_fails_costs_no_other(place: Place) -> None:
    stranger = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": GENERATED, "namespace": "a"}}
    failures = place.maps.publish({"a": DATA, "b": DATA}, [stranger])
    assert len(failures) == 1
    assert [obj["metadata"]["namespace"] for obj in place.cluster.applied] == ["b"]
    assert place.cluster.applied[0]["metadata"]["labels"] == LABELS
