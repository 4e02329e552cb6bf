"""ServicePatterns: for the Services of their own namespace, and a bad one costs nobody else anything."""

from typing import Any

import pytest

from sidecar.conditions import condition_of, event_about
from sidecar.config import Config
from sidecar.recognised import recognise
from sidecar.service_patterns import MAX_PER_NAMESPACE, judge
from tests.unit.builders import backend, catalogue, service

LAMPS = catalogue(backend("lamp"))


def pattern(name: str = "p", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "uid": "1", "generation": 3}, "spec": spec}


TRACKER = {"type": "tracker", "selectors": [{"app": "tracker"}], "healthCheck": {"path": "/healthz"}}


def types(namespace: str, *objects: dict[str, Any], **fields: Any) -> list[str]:
    _, catalogues = judge(objects, LAMPS)
    seen = recognise([service("x", namespace, **fields)], catalogues, Config(), "cluster.local")
    return [these[0].type for these in seen.candidates]


def problem(*objects: dict[str, Any]) -> str:
    return [one.problem for one in judge(objects, LAMPS)[0]][-1]


def test_it_acts_on_its_own_namespace_only() -> None:
    assert types("shop", pattern(**TRACKER), labels={"app": "tracker"}) == ["tracker"]
    assert types("ops", pattern(**TRACKER), labels={"app": "tracker"}) == []


def test_a_type_of_the_catalogue_can_be_changed_and_switched_off() -> None:
    assert types("shop", pattern(type="lamp", names=["x"])) == ["lamp"]
    assert types("shop", pattern(type="lamp", enabled=False), labels={"app": "lamp"}) == []


def test_a_type_of_its_own_is_trusted_by_nobody_yet() -> None:
    _, catalogues = judge([pattern(**TRACKER)], LAMPS)
    assert catalogues.of(service("x"))["tracker"].trusted_only


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            {"type": "horn"},
            "spec.type: 'horn' is not known; known are custom, lamp; a new one has a healthCheck",
        ),
        ({"type": "lamp", "priority": "high"}, "spec.priority: Not a valid integer"),
        (
            {"type": "lamp", "healthCheck": {"path": "/a b"}},
            "spec.health_check.path: '/a b' is no plain path",
        ),
        ({"type": "lamp", "colour": "red"}, "spec.colour: unknown key; allowed are"),
        ({}, "spec.type: '' is not known"),
    ],
)
def test_a_bad_one_is_told_with_its_path_and_the_others_go_on(spec: dict[str, Any], told: str) -> None:
    assert told in problem(pattern("bad", **spec))
    assert types("shop", pattern("bad", **spec), pattern("good", **TRACKER), labels={"app": "tracker"}) == [
        "tracker"
    ]


def test_of_two_for_one_type_the_first_by_name_is_used() -> None:
    assert "another ServicePattern of this namespace is for type lamp" in problem(
        pattern("b", type="lamp"), pattern("a", type="lamp")
    )


def test_a_namespace_has_a_limit() -> None:
    many = [pattern(f"p{n:03}", **{**TRACKER, "type": f"t{n}"}) for n in range(MAX_PER_NAMESPACE + 1)]
    assert "more than" in problem(*many)


def test_its_status_says_once_what_became_of_it() -> None:
    obj = pattern(type="horn")
    condition = condition_of(obj, "no such type")
    assert condition is not None
    assert (condition["status"], condition["message"]) == ("False", "no such type")
    told = {**obj, "status": {"conditions": [condition]}}
    assert condition_of(told, "no such type") is None
    assert condition_of(told, "") is not None
    about = event_about({"apiVersion": "v1", "kind": "X", **obj}, "Warning", "Invalid", "no such type")
    assert about["involvedObject"]["name"] == "p"


@pytest.mark.parametrize("name", ["---", "é", "_", "x" * 64])
def test_a_name_without_a_word_is_refused_and_the_pass_goes_on(name: str) -> None:
    assert "holds no word" in problem(pattern(type="lamp", names=[name]))
    assert types("ops", pattern(type="lamp", names=[name]), labels={"app": "lamp"}) == ["lamp"]


@pytest.mark.parametrize("port", ["x" * 64, "", 0, True, {}])
def test_what_can_be_no_port_is_refused(port: Any) -> None:
    assert "is no port" in problem(pattern(type="lamp", ports=[port]))


@pytest.mark.parametrize(
    "spec", [TRACKER, {"type": "lamp", "names": ["x"], "healthCheck": {"path": "/delete"}}]
)
def test_it_is_not_heard_of_a_service_without_a_selector(spec: dict[str, Any]) -> None:
    """Its addresses are somebody's choice, and would be asked for a path of the author's choice."""
    labels = {"app": "tracker"}
    assert types("shop", pattern(**spec), labels=labels) != []
    assert types("shop", pattern(**spec), labels=labels, selector={}) == []


def test_the_type_custom_stays_what_an_annotation_makes_of_it() -> None:
    assert types("shop", pattern(type="custom", names=["x"], healthCheck={"path": "/y"})) == []
