"""What holds for any input whatever: of Services and annotations, of files that people write, of answers."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from sidecar import manifests
from sidecar.config import Config, read_config
from tests.unit.builders import custom_service, discovered, service
from toolset import render
from toolset.backend import Exchange
from toolset.catalogue import bundled
from toolset.classify import Candidate, classify
from toolset.discovered import Discovered, Status
from toolset.documents import (
    overrides_problems,
    services_problems,
    toolset_file_problems,
    toolset_json_problems,
)
from toolset.merge import merge
from toolset.proof import Answer, leaked_prefix, why_not
from toolset.service import InvalidServiceError, Service
from toolset.yaml_source import Document, YamlError, parse, parse_all

any_input = settings(max_examples=60, deadline=None, database=None, derandomize=True)

WORDS = [*bundled(), "endpoint", "exporter", "my", "a--b"]
HOSTILE = [
    "{{ env.HOME }}",
    "{{env.TOKEN}}\n",
    "{% for x in y %}",
    "{# x #}",
    "endpoint: http://a",
    "/endpoint:",
    "/{{ env.HOME }}",
    "a: [b",
    "'\"\\",
    "\x1b[2J\u2028\x00",
    "&a *a !!x",
    "$url ${health} $$",
]
TEXT = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=20),
    st.sampled_from(WORDS),
    st.tuples(st.sampled_from(WORDS), st.sampled_from(HOSTILE)).map("-".join),
)
NAME = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(
        lambda words: "-".join(words)[:63].strip("-")
    ),
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True),
)
PATH = st.one_of(st.just(""), st.just("/x"), TEXT, TEXT.map(lambda text: f"/{text}"))
WISHES: dict[str, SearchStrategy[str]] = {
    "kubernaut.io/toolset": st.one_of(st.sampled_from(["enabled", "true", "disabled"]), TEXT),
    "kubernaut.io/toolset-type": st.one_of(NAME, TEXT),
    "kubernaut.io/toolset-name": st.one_of(NAME, TEXT),
    "kubernaut.io/toolset-health-path": PATH,
    "kubernaut.io/toolset-endpoint": st.one_of(
        PATH, PATH.map(lambda path: f"http://prometheus.shop:9090{path}")
    ),
    "kubernaut.io/toolset-tenant": TEXT,
}
LABELS = st.dictionaries(
    st.one_of(st.sampled_from(["app", "app.kubernetes.io/name", "operated-prometheus"]), TEXT),
    TEXT,
    max_size=3,
)
PORTS = st.lists(
    st.fixed_dictionaries(
        {"port": st.one_of(st.sampled_from([80, 443, 9090]), st.integers(1, 65535))},
        optional={"name": st.one_of(st.sampled_from(["web", "https", "grpc"]), TEXT), "appProtocol": TEXT},
    ),
    max_size=4,
)
JSON: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=12,
)


@st.composite
def service_objects(draw: st.DrawFn) -> dict[str, Any]:
    """Services as an API server holds them: names are checked, labels and annotations are anybody's."""
    return {
        "metadata": {
            "name": draw(st.one_of(st.just("prometheus"), NAME)),
            "namespace": draw(st.one_of(st.just("shop"), NAME)),
            "uid": "1-2",
            "labels": draw(LABELS),
            "annotations": draw(st.fixed_dictionaries({}, optional=WISHES)),
        },
        "spec": {
            "type": draw(st.sampled_from(["ClusterIP", "NodePort", "ExternalName"])),
            "clusterIP": "10.0.0.1",
            "selector": draw(st.one_of(st.just({"pod": "x"}), LABELS)),
            "ports": draw(PORTS),
        },
    }


def unproven(objects: list[dict[str, Any]]) -> list[Discovered]:
    """Every one of the Services that may be something, at its likeliest endpoint."""
    services = {read.key: read for read in map(Service.from_object, objects)}.values()
    candidates = [
        found.candidates[0] for found in (classify(of, bundled()) for of in services) if found.candidates
    ]
    return [Discovered(each, each.endpoints[0], Status.UNPROVEN) for each in candidates]


def rendered(found: list[Discovered], trusted: bool) -> tuple[str, str, str]:
    """The three documents."""
    namespaces = frozenset(each.service.namespace for each in found) if trusted else frozenset[str]()
    how = render.Settings(trusted_namespaces=namespaces)
    document = render.with_revision(render.toolset_document(found, how), found)
    return render.toolset_yaml(document), render.toolset_json(found, how), render.services_yaml(found, how)


@any_input
@given(st.lists(service_objects(), max_size=5), st.booleans())
def test_whatever_services_say_the_documents_are_right_and_hold_no_template(
    objects: list[dict[str, Any]], trusted: bool
) -> None:
    found = unproven(objects)
    toolsets, tools, services = rendered(found, trusted)
    assert toolset_file_problems(parse(toolsets)) == []
    assert toolset_json_problems(Document(json.loads(tools))) == []
    assert services_problems(parse(services)) == []
    for text in (toolsets, tools, services):
        assert not any(mark in text for mark in ("{{", "{%", "{#"))
    assert "endpoint:" not in toolsets + tools
    assert services.count("endpoint:") == len(found)


@any_input
@given(st.lists(service_objects(), max_size=5), st.randoms(use_true_random=False))
def test_the_order_in_which_services_are_seen_changes_no_byte(
    objects: list[dict[str, Any]], chance: Any
) -> None:
    found = unproven(objects)
    before = rendered(found, trusted=True)
    chance.shuffle(found)
    assert rendered(found, trusted=True) == before


@any_input
@given(service_objects())
def test_an_endpoint_is_always_a_port_of_the_service_itself(obj: dict[str, Any]) -> None:
    read = Service.from_object(obj)
    ports = {port.number for port in read.ports}
    for candidate in classify(read, bundled()).candidates:
        assert candidate.endpoints
        assert {endpoint.port for endpoint in candidate.endpoints} <= ports


@any_input
@given(service_objects())
def test_a_service_is_recognised_or_left_out_with_one_line_but_never_both(obj: dict[str, Any]) -> None:
    classification = classify(Service.from_object(obj), bundled())
    assert not (classification.candidates and classification.ruled_out)
    assert all(isinstance(candidate, Candidate) for candidate in classification.candidates)
    told = [
        classification.ruled_out,
        *(line for found in classification.candidates for line in found.evidence),
    ]
    assert all(line.isprintable() for line in told)


@any_input
@given(st.one_of(JSON, st.fixed_dictionaries({}, optional={"metadata": JSON, "spec": JSON})))
def test_any_object_is_a_service_or_is_refused(obj: Any) -> None:
    if isinstance(obj, dict):
        with contextlib.suppress(InvalidServiceError):
            assert Service.from_object(obj).name


ENTRY = st.one_of(
    JSON, st.fixed_dictionaries({}, optional={"enabled": st.booleans(), "config": JSON, "description": TEXT})
)
SECTION = st.one_of(JSON, st.dictionaries(st.one_of(TEXT, st.just("prometheus/metrics")), ENTRY, max_size=3))


@any_input
@given(st.one_of(JSON, st.fixed_dictionaries({}, optional={"toolsets": SECTION, "mcp_servers": SECTION})))
def test_whatever_people_wrote_holmesgpt_loads_the_file(people: Any) -> None:
    ours = [discovered(service("prometheus"))]
    document = merge(people, render.toolset_document(ours, render.Settings())).document
    written = render.toolset_yaml(render.with_revision(document, ours))
    data = yaml.safe_load(written)
    assert data == parse(written).data
    assert any(name.startswith("discovery/revision-") for name in data["toolsets"])
    for section in data.values():
        assert section
        assert all(isinstance(entry, dict) for entry in section.values())


@any_input
@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from([*"{}[]:-,?&*!|>'\"#%@`\n ", "a", "<<", "---\n"])).map("".join)
    )
)
def test_any_text_is_yaml_or_is_told_why_not(text: str) -> None:
    with contextlib.suppress(YamlError):
        parse_all(text)


@any_input
@given(st.one_of(JSON.map(json.dumps), st.lists(service_objects(), max_size=3).map(json.dumps), st.text()))
def test_any_text_is_a_manifest_or_is_told_why_not(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    read = manifests.read(str(file))
    assert all(problem.startswith(str(file)) for problem in read.problems)


@any_input
@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_are_told_why_not(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(content)
    manifests.read(str(file))


OVERRIDES = st.one_of(JSON, st.fixed_dictionaries({}, optional={"toolsets": SECTION, "mcp_servers": SECTION}))


@any_input
@given(OVERRIDES)
def test_any_overrides_are_taken_or_refused_and_what_is_taken_holds_no_template(people: Any) -> None:
    text = json.dumps(people)
    if not overrides_problems(text, allowed_env=frozenset()):
        assert not any(mark in json.dumps(parse(text).data) for mark in ("{{", "{%", "{#"))


KEYS = ["enabled", "cache_ttl", "namespaces", "service_patterns", "reconciliation", "probe_concurrency", "x"]


@any_input
@given(
    st.one_of(
        JSON, st.dictionaries(st.sampled_from(KEYS), JSON).map(lambda inner: {"service_discovery": inner})
    )
)
def test_any_config_is_one_or_is_told_why_not_with_a_line(data: Any) -> None:
    try:
        assert isinstance(read_config(json.dumps(data), frozenset(bundled())), Config)
    except YamlError as error:
        problems = error.problems
        assert all(problem.line == 1 and problem.message for problem in problems)


EXCHANGES: list[Exchange] = [
    exchange
    for entry in bundled().values()
    for proof in (*entry.proofs, entry.refusals, (entry.health,))
    for exchange in proof
    if exchange is not None
]
BODY = st.one_of(st.binary(max_size=200), JSON.map(lambda data: json.dumps(data).encode()))
HEADER = st.tuples(
    st.sampled_from(["location", "content-type", "x-elastic-product", "www-authenticate"]),
    st.one_of(TEXT, st.sampled_from(["http://[", "//[::1", "/a/b", "text/html", "application/json"])),
)


@any_input
@given(
    st.builds(
        Answer, st.sampled_from([200, 302, 401, 500]), st.lists(HEADER, max_size=3), BODY, st.booleans()
    )
)
def test_any_answer_is_judged(answer: Answer) -> None:
    for exchange in EXCHANGES:
        assert isinstance(why_not(exchange.expect, answer), str)
    prefix = leaked_prefix(answer)
    assert not prefix or (prefix.startswith("/") and not prefix.endswith("/") and "{" not in prefix)


@pytest.mark.parametrize("name", sorted(set(bundled()) - {"custom"}))
@any_input
@given(answer=st.builds(Answer, st.just(200), st.lists(HEADER, max_size=3), BODY))
def test_no_arbitrary_answer_proves_a_backend(name: str, answer: Answer) -> None:
    for proof in bundled()[name].proofs:
        assert any(why_not(exchange.expect, answer) for exchange in proof)


TYPES = st.one_of(
    st.sampled_from(["alertmanager", "alertmanager-a", "jaeger", "jaeger-a-b", "a", "a-b", "a--b"]),
    st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
)
SHORT = st.one_of(st.sampled_from(["a", "b", "a-b", "b-a", "a--b"]), NAME)


@settings(any_input, max_examples=300)
@given(st.lists(st.tuples(TYPES, SHORT, SHORT), min_size=2, max_size=8, unique_by=lambda it: it[1:]))
def test_no_two_services_ever_have_tools_of_one_name_in_holmesgpt(of: list[tuple[str, str, str]]) -> None:
    """HolmesGPT makes ``_`` of ``-`` and ``/``; the later of two tools of one name would hide the other."""
    services = [custom_service(name, space, kind=kind) for kind, name, space in of]
    candidates = [each for it in services for each in classify(it, bundled()).candidates[:1]]
    found = [Discovered(each, each.endpoints[0], Status.VERIFIED) for each in candidates]
    how = render.Settings(trusted_namespaces=frozenset(space for _, _, space in of))
    separate = [it for it in found if any(rule.many == "separate" for rule in it.toolsets)]
    tools = [
        name.replace("/", "_").replace("-", "_")
        for it in separate
        for names in render.toolset_names([it], how).values()
        for name in names
    ]
    assert len(set(tools)) == len(tools)
    assert all(len(f"{tool}_request") <= 64 for tool in tools), "what LLM providers accept"


def nasty_bodies() -> Iterator[bytes]:
    """What makes a careless expression go back again and again: much of all that it might begin with."""
    said = [exchange.expect for exchange in EXCHANGES]
    patterns = [it.text.pattern for it in said if it.text] + [
        it.receive.pattern.decode("latin-1") for it in said if it.receive
    ]
    patterns += [entry.endpoint.leak.pattern for entry in bundled().values() if entry.endpoint.leak]
    words = {word for pattern in patterns for word in re.findall(r"[\w<>/=\"':. -]{2,}", pattern)}
    for piece in sorted(words | {"a", " ", "\n", "\0", "<", "{", "[", '"', "a ", "1.", "\\"}):
        yield (piece.encode("latin-1") * 65536)[:65536]


def test_no_answer_keeps_the_judge_busy() -> None:
    """All probes share one thread: what 64 KiB may cost there is a matter of milliseconds."""
    expressions: list[re.Pattern[Any]] = [
        one
        for it in EXCHANGES
        for one in (it.expect.text, it.expect.receive, *it.expect.headers.values())
        if one
    ]
    expressions += [entry.endpoint.leak for entry in bundled().values() if entry.endpoint.leak]
    slow = []
    for body in nasty_bodies():
        text = body.decode("latin-1")
        for one in expressions:
            began = time.process_time()
            one.search(body if isinstance(one.pattern, bytes) else text)
            took = time.process_time() - began
            if took > 0.25:
                slow.append((one.pattern, body[:20], took))
    assert not slow
