"""The service's configuration: every key optional, every mistake told at once with line and path."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from sidecar.config import Config, Reconciliation, read_config
from toolset.duration import Duration
from toolset.patterns import Pattern
from toolset.yaml_source import YamlError

TYPES = frozenset({"lamp", "bell"})


def read(text: str) -> Config:
    """Reads what stands under ``service_discovery:``, which is line 1."""
    return read_config("service_discovery:\n" + "".join(f"  {line}\n" for line in text.splitlines()), TYPES)


def refused(text: str) -> list[str]:
    """What is wrong with a whole ``config.yaml``."""
    with pytest.raises(YamlError) as error:
        read_config(text, TYPES)
    return list(map(str, error.value.problems))


def wrong(text: str) -> list[str]:
    """What is wrong with what stands under ``service_discovery:``."""
    with pytest.raises(YamlError) as error:
        read(text)
    return list(map(str, error.value.problems))


@pytest.mark.parametrize("text", ["", "{}", "# nothing", "service_discovery:", "service_discovery: {}"])
def test_a_config_that_says_nothing_is_the_defaults(text: str) -> None:
    assert read_config(text, TYPES) == Config()


def test_the_defaults_are_those_that_the_runbook_names() -> None:
    config = Config()
    assert config.enabled
    assert not config.skip_health_check
    assert config.discovery_interval == timedelta(minutes=5)
    assert config.cache_ttl == timedelta(minutes=10)
    assert config.health_check_interval == timedelta(seconds=30)
    assert config.unhealthy_retention == timedelta(hours=1)
    assert config.reconciliation.enabled
    assert config.trusted_namespaces == ()


def test_every_key_is_read() -> None:
    config = read(
        """\
enabled: false
discovery_interval: 1m
cache_ttl: 2m
health_check_interval: 10s
skip_health_check: true
namespaces: [a, b]
exclude_namespaces: [c]
trusted_namespaces: [d]
unhealthy_retention: 3h
probe_timeout: 500ms
probe_concurrency: 7
service_patterns:
  lamp: {enabled: false, priority: 3, selectors: [{app: lamp}], names: [torch], ports: [web, 80]}
reconciliation: {enabled: false}
"""
    )
    assert config == Config(
        enabled=False,
        discovery_interval=timedelta(minutes=1),
        cache_ttl=timedelta(minutes=2),
        health_check_interval=timedelta(seconds=10),
        skip_health_check=True,
        namespaces=("a", "b"),
        exclude_namespaces=("c",),
        trusted_namespaces=("d",),
        unhealthy_retention=timedelta(hours=3),
        probe_timeout=timedelta(milliseconds=500),
        probe_concurrency=7,
        service_patterns={"lamp": Pattern(False, 3, ({"app": "lamp"},), ("torch",), ("web", 80))},
        reconciliation=Reconciliation(enabled=False),
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("1m0s", 60), ("24h", 86400)],
)
def test_durations_are_written_as_go_writes_them(text: str, seconds: int) -> None:
    assert read(f"discovery_interval: {text}").discovery_interval == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["300", "5", "'300'", "five", "''", "5 minutes", "5x", "true", "[5m]", "null", "1:30"]
)
def test_what_is_no_duration_is_told_with_an_example(text: str) -> None:
    [problem] = wrong(f"discovery_interval: {text}")
    assert problem.startswith("line 2: service_discovery.discovery_interval: ")
    assert "write it as 30s, 5m or 1h30m" in problem or text == "null"


@pytest.mark.parametrize("text", ["0s", "-5m", "999ms", "25h", "9999999999h"])
def test_a_duration_out_of_range_is_told_with_what_is_allowed(text: str) -> None:
    [problem] = wrong(f"discovery_interval: {text}")
    assert "allowed are 1s to 24h" in problem or "is no duration" in problem


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(st.one_of(st.text("0123456789.+-hmsunµdwy ٣", max_size=12), st.text(max_size=12)))
def test_any_text_is_a_duration_or_a_clear_problem(text: str) -> None:
    field = Duration(minimum=timedelta(seconds=1), maximum=timedelta(days=1))
    with contextlib.suppress(ValidationError):
        assert timedelta(seconds=1) <= field.deserialize(text) <= timedelta(days=1)


def test_retention_is_never_shorter_than_the_time_between_two_checks() -> None:
    config = read("unhealthy_retention: 1s\nhealth_check_interval: 1m")
    assert config.unhealthy_retention == timedelta(minutes=1)


def test_an_unknown_key_names_line_path_and_what_is_allowed() -> None:
    [problem] = wrong("enabled: true\nexclude_namespace: [a]")
    assert problem.startswith(
        "line 3: service_discovery.exclude_namespace: unknown key; allowed are cache_ttl, "
    )
    assert "exclude_namespaces" in problem


@pytest.mark.parametrize("text", ["enabled: true", "discovery: {}", "service-discovery: {}"])
def test_an_unknown_key_at_the_top_names_the_root(text: str) -> None:
    [problem] = refused(text)
    assert problem == f"line 1: {text.partition(':')[0]}: unknown key; allowed is service_discovery"


@pytest.mark.parametrize("text", ["[]", "text", "7", "[service_discovery]"])
def test_what_is_no_mapping_is_told(text: str) -> None:
    [problem] = refused(text)
    assert "expected a mapping with the key service_discovery" in problem


@pytest.mark.parametrize("text", ["[]", "text", "7"])
def test_a_root_that_is_no_mapping_is_told(text: str) -> None:
    [problem] = refused(f"service_discovery: {text}")
    assert problem.startswith("line 1: service_discovery: ")


def test_an_unknown_type_is_told_with_those_that_are_known() -> None:
    [problem] = wrong("service_patterns:\n  lamp: {}\n  horn: {}")
    assert problem.startswith("line 4: service_discovery.service_patterns.horn: unknown type; ")
    assert "known are bell, lamp; a new one has a health_check" in problem


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("enabled: 'yes'", "enabled"),
        ("enabled: 2", "enabled"),
        ("namespaces: default", "namespaces"),
        ("namespaces: [A]", "namespaces[0]"),
        ("namespaces: [ok, 'a b']", "namespaces[1]"),
        ('namespaces: ["a\\n"]', "namespaces[0]"),
        ("probe_concurrency: 0", "probe_concurrency"),
        ("probe_concurrency: '64'", "probe_concurrency"),
        ("service_patterns: [lamp]", "service_patterns"),
        ("service_patterns: {lamp: {names: torch}}", "service_patterns.lamp.names"),
        ("service_patterns: {lamp: {names: ['']}}", "service_patterns.lamp.names[0]"),
        ("service_patterns: {lamp: {ports: [true]}}", "service_patterns.lamp.ports[0]"),
        ("service_patterns: {lamp: {priority: 1001}}", "service_patterns.lamp.priority"),
        ("service_patterns: {lamp: {selectors: [{}]}}", "service_patterns.lamp.selectors[0]"),
        ("service_patterns: {lamp: {selectors: [{app: 1}]}}", "service_patterns.lamp.selectors[0].app"),
        ("service_patterns: {lamp: {name: [x]}}", "service_patterns.lamp.name"),
        ("reconciliation: {enable: true}", "reconciliation.enable"),
    ],
)
def test_a_wrong_value_is_told_with_line_and_path(text: str, path: str) -> None:
    [problem] = wrong(text)
    assert problem.startswith(f"line 2: service_discovery.{path}: ")


def test_all_errors_are_told_at_once_in_the_order_of_lines() -> None:
    told = refused(
        """\
discovery: {}
service_discovery:
  enabled: maybe
  cache_ttl: 5
  service_patterns:
    horn: {}
    lamp: {nmaes: [x]}
  namespace: [a]
"""
    )
    assert [problem.split(": ")[:2] for problem in told] == [
        ["line 1", "discovery"],
        ["line 3", "service_discovery.enabled"],
        ["line 4", "service_discovery.cache_ttl"],
        ["line 6", "service_discovery.service_patterns.horn"],
        ["line 7", "service_discovery.service_patterns.lamp.nmaes"],
        ["line 8", "service_discovery.namespace"],
    ]


def test_all_namespaces_are_watched_unless_some_are_named() -> None:
    assert Config().watches("any")
    assert Config(namespaces=("a",)).watches("a")
    assert not Config(namespaces=("a",)).watches("b")


def test_an_excluded_namespace_is_not_watched_even_if_it_is_named() -> None:
    assert not Config(exclude_namespaces=("a",)).watches("a")
    assert not Config(namespaces=("a",), exclude_namespaces=("a",)).watches("a")


def test_a_new_type_needs_a_health_check_and_a_plain_name() -> None:
    good = "service_discovery: {service_patterns: {tracker: {names: [x], health_check: {path: /healthz}}}}"
    assert read_config(good, frozenset({"lamp"})).service_patterns["tracker"].health_path == "/healthz"
    check = ", health_check: {path: /x}"
    for name, more in (("tracker", ""), ("Tracker", check), ("t_t", check)):
        bad = f"service_discovery: {{service_patterns: {{{name}: {{names: [x]{more}}}}}}}"
        with pytest.raises(YamlError, match="unknown type; known are lamp; a new one has a health_check"):
            read_config(bad, frozenset({"lamp"}))
