"""The documents are checked before anybody reads them: what HolmesGPT refuses, and what is dangerous."""

import json
from typing import Any

import pytest

from toolset.documents import (
    entry_problems,
    services_problems,
    toolset_file_problems,
    toolset_json_problems,
)
from toolset.yaml_source import Document, parse

GOOD = {"enabled": True, "description": "d", "config": {"api_url": "http://a:1", "verify_ssl": True}}


def problems(text: str, **options: Any) -> list[str]:
    return list(map(str, toolset_file_problems(parse(text), **options)))


def entry(**fields: Any) -> list[str]:
    """The problems of a file with one toolset ``t`` of these fields."""
    return problems(json.dumps({"toolsets": {"t": fields}}))


def config(**fields: Any) -> list[str]:
    return entry(config=fields)


def test_a_good_file_has_no_problem() -> None:
    assert problems(json.dumps({"toolsets": {"a/b": GOOD}, "mcp_servers": {"m": GOOD}})) == []


@pytest.mark.parametrize("text", ["", "[]", "text", "1", "{}", "other: {}"])
def test_a_file_without_toolsets_is_refused_since_holmesgpt_would_refuse_it(text: str) -> None:
    assert problems(text) == ["line 1: expected a mapping with toolsets: or mcp_servers:"]


@pytest.mark.parametrize("value", ["", "{}", "[]", "text", "{a: null}", "{a: []}", "{a: text}"])
@pytest.mark.parametrize("text", ["toolsets: ", "toolsets: {a: {enabled: true}}\nmcp_servers: "])
def test_sections_and_entries_that_would_fail_the_whole_load_are_refused(text: str, value: str) -> None:
    assert problems(text + value)


def test_unknown_keys_are_told_with_line_path_and_what_is_allowed() -> None:
    [first, second] = problems("toolset: {}\ntoolsets:\n  a:\n    enabled: true\n    url: x\n")
    assert first == "line 1: toolset: unknown key; allowed are mcp_servers, toolsets"
    assert second.startswith(
        "line 5: toolsets.a.url: unknown key; allowed are approval_required_tools, config, "
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"enabled": "yes"},
        {"type": "prometheus"},
        {"description": 1},
        {"config": []},
        {"status_refresh_interval_seconds": 0},
        {"approval_required_tools": "all"},
    ],
)
def test_wrong_types_are_told(fields: dict[str, Any]) -> None:
    [problem] = entry(**fields)
    assert f"toolsets.t.{next(iter(fields))}" in problem


@pytest.mark.parametrize(
    "text",
    [
        "toolsets: {orders.db: {enabled: true}}",
        "toolsets: {a: {config: {labels: {k8s.cluster: x}}}}",
        "toolsets: {a: {config: {list: [{b: [{c.d: 1}]}]}}}",
    ],
)
def test_a_dot_in_any_key_is_refused_since_holmesgpt_would_refuse_the_file(text: str) -> None:
    assert ["a key must not hold a dot" in problem for problem in problems(text)] == [True]


def test_a_dot_in_a_value_is_fine() -> None:
    assert config(api_url="http://a.b.c:1") == []


@pytest.mark.parametrize("key", ["tools", "prerequisites", "command"])
def test_what_runs_commands_is_refused_at_any_depth(key: str) -> None:
    assert any("run commands" in problem for problem in entry(**{key: ["rm"]}))
    assert any("run commands" in problem for problem in config(deep=[{key: "rm"}]))


def test_mcp_over_stdio_is_refused() -> None:
    assert any("run commands" in problem for problem in config(mode="stdio"))
    assert config(mode="sse") == []


@pytest.mark.parametrize(
    "value", ["{{ x }}", "{% if x %}", "{# x #}", "{{env.TOKEN}}", "{{ env.A.b }}", "a {{ env.A }} {{"]
)
def test_templates_are_refused_wherever_they_stand(value: str) -> None:
    assert ["holds a template" in problem for problem in entry(description=value)] == [True]
    assert ["holds a template" in problem for problem in config(a=[{"b": value}])] == [True]


@pytest.mark.parametrize("key", ["{{ env_A }}", "{% if x %}", "a\\nb", "\\u202e", "\\x1b[2J"])
def test_a_key_holds_no_template_and_is_one_plain_line(key: str) -> None:
    [told] = problems(f'toolsets: {{x: {{config: {{"{key}": 1}}}}}}')
    assert "the key holds" in told


def test_a_variable_is_allowed_where_the_operator_lists_it() -> None:
    text = 'toolsets: {a: {config: {api_key: "{{ env.GRAFANA_KEY }}"}}}'
    assert problems(text) == []
    assert problems(text, allowed_env=frozenset({"GRAFANA_KEY"})) == []
    [problem] = problems(text, allowed_env=frozenset({"OTHER"}))
    assert "toolsets.a.config.api_key" in problem
    assert "names the variable GRAFANA_KEY, which credentials.allowed_env does not list" in problem


@pytest.mark.parametrize(
    "key", ["password", "api_key", "apiKey", "bearer_token", "client_secret", "Authorization"]
)
def test_a_raw_secret_is_refused_and_never_quoted(key: str) -> None:
    [problem] = config(**{key: "hunter2"})
    assert "looks like a secret: write {{ env.NAME }}" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize("key", ["token_url", "secret_name"])
def test_what_only_sounds_like_a_secret_is_none(key: str) -> None:
    assert config(**{key: "plain"}) == []


def test_a_password_in_a_url_is_refused_unless_it_is_a_variable() -> None:
    [problem] = config(connection_url="postgresql://me:hunter2@db:5432/x")
    assert "holds a password in a URL" in problem
    assert "hunter2" not in problem
    assert config(connection_url="postgresql://me:{{ env.PW }}@db:5432/x") == []
    assert config(connection_url="postgresql://me@db:5432/x") == []


def test_all_problems_are_told_at_once_in_the_order_of_lines() -> None:
    text = "toolsets:\n  a:\n    command: x\n    enabled: maybe\n  b.c:\n    config:\n      password: x\n"
    lines = [problem.line for problem in toolset_file_problems(parse(text))]
    assert lines == sorted(lines)
    assert set(lines) == {3, 4, 6, 7}


def test_an_entry_for_which_holmesgpt_would_refuse_the_whole_file_is_found() -> None:
    assert entry_problems("toolsets", "a", None) == ["toolsets.a: expected a mapping, found NoneType"]
    assert entry_problems("toolsets", "a.b", {}) == ["toolsets: the key 'a.b' holds a dot"]
    assert entry_problems("toolsets", "a", {"config": {"b": [{"c.d": 1}]}}) == [
        "toolsets: the key 'c.d' holds a dot"
    ]


def test_an_entry_that_is_merely_unwise_passes_as_it_was_written() -> None:
    assert entry_problems("toolsets", "a", {"tools": [{"command": "rm"}], "unknown": "{{ x }}"}) == []


def tool(**fields: Any) -> dict[str, Any]:
    texts = dict.fromkeys(("name", "namespace", "uid", "type", "description", "status"), "x")
    return {**texts, "url": "http://a:1", "verify_ssl": True, "toolsets": [], **fields}


def test_toolset_json_is_checked() -> None:
    assert toolset_json_problems(Document({"tools": [tool()]})) == []
    assert toolset_json_problems(Document({"tools": []})) == []
    wrong: list[Any] = [
        {},
        {"tools": {}},
        {"tools": [{}]},
        {"tools": [tool(url="a b")]},
        {"tools": [tool(more=1)]},
    ]
    assert all(toolset_json_problems(Document(data)) for data in wrong)


def test_services_yaml_is_checked() -> None:
    line = dict.fromkeys(("name", "namespace", "type", "endpoint", "status"), "x")
    assert services_problems(Document({"services": [line]})) == []
    for wrong in ({}, {"services": [line | {"more": "x"}]}, {"services": [{"name": "x"}]}):
        assert services_problems(Document(wrong))
