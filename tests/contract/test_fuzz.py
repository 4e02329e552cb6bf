"""Whatever Services and overrides say: the real HolmesGPT loads the file, and nothing is injected."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.realparts import ROOT, part
from tests.unit.test_properties import SECTION, TEXT, WORDS, service_objects
from toolset import render
from toolset.catalogue import bundled
from toolset.classify import classify
from toolset.discovered import Discovered, Discovery, Status
from toolset.documents import overrides_problems
from toolset.limits import within
from toolset.merge import merge
from toolset.service import Service
from toolset.yaml_source import parse

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
SECRET = "canary-9f2c61"
"""The value of variables that only a template could bring into the file."""

VARIABLES = ("HOME", "TOKEN", "ALLOWED")

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Load = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """One HolmesGPT that loads text after text, as its server does at its start."""
    here = tmp_path_factory.mktemp("fuzz")
    command = [str(part("holmesgpt") / "bin/python"), str(ROOT / "tests/contract/holmes_load.py"), "--each"]
    # Its own modules find their way without HOME, which a template of ours may name.
    environment = {**os.environ, **dict.fromkeys(VARIABLES, SECRET)}
    with subprocess.Popen(
        command, cwd=here, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout

        def load(text: str) -> dict[str, Any]:
            file = here / "custom_toolset.yaml"
            file.write_text(text)
            print(file, file=process.stdin, flush=True)
            told: dict[str, Any] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            return told

        yield load
        process.stdin.close()


VICTIM = Service.from_object(
    {
        "metadata": {"name": "prometheus", "namespace": "victim", "uid": "v"},
        "spec": {"clusterIP": "10.0.0.9", "selector": {"a": "b"}, "ports": [{"port": 9090, "name": "web"}]},
    }
)
STATUSES = st.sampled_from([Status.VERIFIED, Status.UNPROVEN, Status.UNHEALTHY, Status.NEEDS_CREDENTIALS])


def found(of: Service, status: Status) -> list[Discovered]:
    return [Discovered(each, each.endpoints[0], status) for each in classify(of, bundled()).candidates[:1]]


@fuzzed
@given(st.lists(st.tuples(service_objects(), STATUSES), max_size=20), st.booleans(), st.booleans())
def test_whatever_services_say_holmesgpt_loads_the_file_and_the_victims_instance_is_its_own(
    load: Load, objects: list[tuple[dict[str, Any], Status]], trusted: bool, reverse: bool
) -> None:
    services = {Service.from_object(obj).key: (Service.from_object(obj), status) for obj, status in objects}
    hostile = [one for of, status in services.values() for one in found(of, status)]
    everything = sorted(
        [*hostile, *found(VICTIM, Status.VERIFIED)], key=lambda it: it.service.key, reverse=reverse
    )
    namespaces = frozenset(one.service.namespace for one in hostile) if trusted else frozenset[str]()
    kept = within(Discovery(tuple(everything)), namespaces).discovered
    how = render.Settings(trusted_namespaces=namespaces)
    document = render.with_revision(render.toolset_document(kept, how), kept)

    told = load(render.toolset_yaml(document))

    assert told["outcome"] == "loaded", told
    assert told["errors"] == told["warnings"] == told["dropped"] == [], told
    assert set(told["toolsets"]) == set(document["toolsets"])
    assert SECRET not in json.dumps(told)
    assert the_victims(document) == ALONE


def the_victims(document: Mapping[str, Any]) -> Any:
    """The configuration of the victim's instance, flat or among others."""
    config = dict(document["toolsets"]["prometheus/metrics"]["config"])
    if "instances" not in config:
        return config
    [own] = [one for one in config["instances"] if one["name"] == "victim/prometheus"]
    return {key: value for key, value in own.items() if key != "name"}


ALONE = the_victims(render.toolset_document(found(VICTIM, Status.VERIFIED), render.Settings()))


CONFIG = st.dictionaries(
    st.one_of(st.sampled_from(["api_url", "prometheus_url", "verify_ssl", "instances", "endpoints"]), TEXT),
    st.one_of(
        TEXT, st.booleans(), st.integers(), st.lists(st.dictionaries(TEXT, TEXT, max_size=2), max_size=2)
    ),
    max_size=3,
)
LIKELY = st.dictionaries(
    st.one_of(st.sampled_from(["prometheus/metrics", "grafana/loki", "bash", "x", *WORDS]), TEXT),
    st.fixed_dictionaries(
        {},
        optional={
            "enabled": st.booleans(),
            "type": st.sampled_from(["http", "mcp", "database", "mongodb"]),
            "description": TEXT,
            "config": CONFIG,
            "llm_instructions": TEXT,
        },
    ),
    min_size=1,
    max_size=3,
)
PEOPLE = st.fixed_dictionaries({}, optional={"toolsets": st.one_of(LIKELY, SECTION), "mcp_servers": LIKELY})


@fuzzed
@given(PEOPLE)
def test_whatever_overrides_are_accepted_holmesgpt_refuses_no_file_for_them(load: Load, people: Any) -> None:
    """One that is nonsense may fail by itself; it costs no other toolset and brings no variable in."""
    text = json.dumps(people)
    if overrides_problems(text, allowed_env=frozenset({"ALLOWED"})):
        return
    ours = found(VICTIM, Status.VERIFIED)
    generated = render.toolset_document(ours, render.Settings())
    merged = merge(parse(text).data, generated).document

    told = load(render.toolset_yaml(render.with_revision(merged, ours)))

    assert told["refused"] is None, (people, told)
    assert SECRET not in json.dumps(told["toolsets"]) or "env.ALLOWED" in text
    theirs = {*(people.get("toolsets") or {}), *(people.get("mcp_servers") or {})}
    if "prometheus/metrics" not in theirs:
        assert merged["toolsets"]["prometheus/metrics"]["config"] == ALONE
        assert told["toolsets"]["prometheus/metrics"]["config_check"]["ok"]
