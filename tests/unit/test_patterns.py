"""What an operator changes about the catalogue."""

from tests.unit.builders import asking, backend, catalogue, custom_service, service
from toolset.classify import classify
from toolset.patterns import Pattern, apply

LAMPS = catalogue(backend("lamp"), backend("bell"))


def test_without_patterns_the_catalogue_stays_as_it_is() -> None:
    assert dict(apply({}, LAMPS)) == dict(LAMPS)


def test_a_type_that_is_switched_off_is_not_discovered() -> None:
    changed = apply({"lamp": Pattern(enabled=False)}, LAMPS)
    assert list(changed) == ["bell", "custom"]
    assert classify(service("lamp"), changed).candidates == ()


def test_custom_types_that_are_switched_off_are_left_out_with_the_reason() -> None:
    changed = apply({"custom": Pattern(enabled=False)}, LAMPS)
    assert classify(custom_service("tracker"), changed).ruled_out == (
        "type tracker by annotation, but custom types are switched off"
    )
    assert classify(service("lamp"), changed).candidates


def test_a_name_of_the_operators_own_is_recognised_beside_the_catalogues() -> None:
    changed = apply({"lamp": Pattern(names=("torch",))}, LAMPS)
    for name in ("torch", "lamp"):
        assert [found.type for found in classify(service(name), changed).candidates] == ["lamp"]


def test_a_service_with_a_whole_set_of_labels_is_of_the_type() -> None:
    changed = apply({"lamp": Pattern(selectors=({"team": "light", "tier": "*"},))}, LAMPS)
    assert classify(service("x", labels={"team": "light", "tier": "1"}), changed).candidates
    assert not classify(service("x", labels={"team": "light"}), changed).candidates


def test_ports_of_the_operator_are_preferred_over_the_catalogues() -> None:
    changed = apply({"lamp": Pattern(ports=("api", 7))}, LAMPS)
    [found] = classify(service("lamp", ports=["web:9090", "x:7", "api:80"]), changed).candidates
    assert [endpoint.port for endpoint in found.endpoints[:3]] == [80, 7, 9090]


def test_the_type_with_the_higher_priority_is_asked_first() -> None:
    both = service("bell", labels={"team": "light"})
    marked = Pattern(selectors=({"team": "light"},))
    changed = apply({"lamp": marked}, LAMPS)
    assert [found.type for found in classify(both, changed).candidates] == ["lamp", "bell"]
    changed = apply({"lamp": marked, "bell": Pattern(priority=50)}, LAMPS)
    assert [found.type for found in classify(both, changed).candidates] == ["bell", "lamp"]


def test_patterns_of_unknown_types_change_nothing() -> None:
    assert list(apply({"horn": Pattern(names=("horn",))}, LAMPS)) == list(LAMPS)


def test_an_annotation_still_overrides_what_a_pattern_recognises() -> None:
    changed = apply({"lamp": Pattern(names=("torch",))}, LAMPS)
    [found] = classify(service("torch", annotations=asking(type="bell")), changed).candidates
    assert found.type == "bell"


TRACKER = Pattern(selectors=({"app": "tracker"},), ports=(8080,), health_path="/healthz")


def test_a_type_of_the_operators_own_is_recognised_and_proven_by_its_health_check() -> None:
    changed = apply({"tracker": TRACKER}, LAMPS)
    [found] = classify(
        service("x", labels={"app": "tracker"}, ports=["web:80", "api:8080"]), changed
    ).candidates
    assert found.type == "tracker"
    assert found.endpoints[0].port == 8080
    assert [exchange.get for proof in found.backend.proofs for exchange in proof] == ["/healthz"]
    assert not found.backend.trusted_only, "the operator wrote it"


def test_a_new_type_without_a_health_check_or_switched_off_is_none() -> None:
    assert "x" not in apply({"x": Pattern(names=("x",))}, LAMPS)
    assert "x" not in apply({"x": Pattern(names=("x",), health_path="/", enabled=False)}, LAMPS)


def test_a_health_check_of_the_operator_stands_in_for_the_catalogues() -> None:
    health = apply({"lamp": Pattern(health_path="/up")}, LAMPS)["lamp"].health
    assert health is not None
    assert health.get == "/up"
