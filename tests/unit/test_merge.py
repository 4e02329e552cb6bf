"""What people configured, over what was discovered: people win."""

from typing import Any

import pytest

from toolset.merge import merge

URL = {"prometheus_url": "http://found:9090"}
FOUND = {"enabled": True, "type": "http", "description": "found", "config": URL}


def merged(theirs: Any, ours: Any = FOUND) -> Any:
    """The toolset ``t``, of which people wrote ``theirs``."""
    return merge({"toolsets": {"t": theirs}}, {"toolsets": {"t": ours}}).document["toolsets"]["t"]


@pytest.mark.parametrize("nothing", [None, {}, {"toolsets": None}, {"toolsets": {}, "mcp_servers": []}])
def test_where_people_wrote_nothing_what_was_discovered_stands(nothing: Any) -> None:
    generated = {"toolsets": {"t": FOUND}}
    assert merge(nothing, generated).document == generated
    assert merge(nothing, generated).problems == ()


def test_switched_off_stays_off_and_holmesgpt_still_knows_what_it_is() -> None:
    assert merged({"enabled": False}) == FOUND | {"enabled": False}


def test_switched_on_alone_is_completed_by_what_was_discovered() -> None:
    assert merged({"enabled": True}) == FOUND


def test_a_config_that_somebody_wrote_stays_whole() -> None:
    theirs = {"config": {"instances": [{"name": "mine"}]}}
    assert merged(theirs) == FOUND | theirs


@pytest.mark.parametrize("empty", [None, "", [], {}])
def test_an_empty_field_overrides_nothing(empty: Any) -> None:
    assert merged({"config": empty, "description": empty}) == FOUND


def test_a_toolset_of_another_type_is_theirs_alone() -> None:
    theirs = {"type": "mcp", "description": "mine"}
    assert merged(theirs) == theirs


def test_toolsets_of_people_alone_and_of_ours_alone_stand_side_by_side_by_name() -> None:
    document = merge({"toolsets": {"b": {"enabled": True}}}, {"toolsets": {"c": FOUND, "a": FOUND}}).document
    assert list(document["toolsets"]) == ["a", "b", "c"]


def test_an_mcp_server_of_people_hides_no_section() -> None:
    document = merge({"mcp_servers": {"m": {"config": {"url": "x"}}}}, {"toolsets": {"t": FOUND}}).document
    assert document == {"toolsets": {"t": FOUND}, "mcp_servers": {"m": {"config": {"url": "x"}}}}


def test_a_toolset_of_people_is_not_hidden_by_a_discovered_mcp_server_of_its_name() -> None:
    document = merge({"toolsets": {"x": {"enabled": True}}}, {"mcp_servers": {"x": FOUND}}).document
    assert document == {"toolsets": {"x": {"enabled": True}}}


def test_other_keys_at_the_top_do_not_reach_holmesgpt() -> None:
    assert "other" not in merge({"other": 1, "toolsets": {"t": FOUND}}, {}).document


def test_what_would_fail_the_whole_load_is_left_out_and_told() -> None:
    theirs = {"toolsets": {"bad": None, "a.b": FOUND, "t": {"enabled": False}}, "mcp_servers": "text"}
    result = merge(theirs, {"toolsets": {"t": FOUND}})
    assert list(result.document) == ["toolsets"]
    assert list(result.document["toolsets"]) == ["t"]
    assert result.problems == (
        "toolsets.bad: expected a mapping, found NoneType",
        "toolsets: the key 'a.b' holds a dot",
        "mcp_servers: expected a mapping, found str",
    )


@pytest.mark.parametrize("text", ["text", ["list"], 7])
def test_a_base_that_is_no_mapping_is_told_and_costs_nothing(text: Any) -> None:
    result = merge(text, {"toolsets": {"t": FOUND}})
    assert result.document == {"toolsets": {"t": FOUND}}
    assert "expected a mapping at the top" in result.problems[0]


def test_merging_changes_neither_part() -> None:
    theirs: dict[str, Any] = {"toolsets": {"t": {"config": {}}}}
    ours = {"toolsets": {"t": dict(FOUND)}}
    merge(theirs, ours)
    assert theirs == {"toolsets": {"t": {"config": {}}}}
    assert ours == {"toolsets": {"t": FOUND}}
