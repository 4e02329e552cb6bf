"""The catalogue's files: complete, consistent, and what a broken one says."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from tests.corpus import layouts, score
from toolset.backend import Backend, ToolsetRule
from toolset.catalogue import CatalogueError, bundled, read_backend

NAMES = """
    alertmanager argocd clickhouse coroot cortex elasticsearch grafana influxdb jaeger kafka kiali loki mcp
    mimir mongodb mysql nats opencost opensearch parca postgresql prometheus pyroscope rabbitmq redis signoz
    tempo thanos victorialogs victoriametrics victoriatraces zipkin
""".split()  # noqa: SIM905 - as the issue lists them
BACKENDS = list(bundled().values())
NAMED = [backend for backend in BACKENDS if backend.name != "custom"]
MINIMAL = """
name: thing
title: Thing
description: things
proofs: [[{get: /}]]
toolsets: []
"""


def toolsets() -> list[tuple[Backend, ToolsetRule]]:
    return [(backend, rule) for backend in NAMED for rule in backend.toolsets]


def known() -> set[str]:
    labelled = {record["expect"]["kind"] for record in score.load()}
    return labelled | {text.split()[0] for layout in layouts.load() for text in layout.expect.values()}


@pytest.mark.parametrize("name", NAMES)
def test_every_backend_that_holmesgpt_can_use_has_a_file(name: str) -> None:
    assert bundled()[name].name == name


@pytest.mark.parametrize("backend", NAMED, ids=lambda backend: backend.name)
def test_every_backend_has_cases(backend: Backend) -> None:
    assert backend.name in known()


@pytest.mark.parametrize("backend", NAMED, ids=lambda backend: backend.name)
def test_a_file_is_named_after_its_backend(backend: Backend) -> None:
    assert files("toolset").joinpath("backends", f"{backend.name}.yaml").is_file()


@pytest.mark.parametrize("backend", NAMED, ids=lambda backend: backend.name)
def test_a_file_says_where_its_facts_come_from(backend: Backend) -> None:
    text = files("toolset").joinpath("backends", f"{backend.name}.yaml").read_text("utf-8")
    assert "# " in text


@pytest.mark.parametrize("backend", NAMED, ids=lambda backend: backend.name)
def test_every_backend_can_be_recognised_and_proven(backend: Backend) -> None:
    assert backend.recognise.words
    assert backend.endpoint.ports
    assert backend.proofs


@pytest.mark.parametrize(("backend", "rule"), toolsets(), ids=lambda it: it.name)
def test_http_toolsets_are_limited_to_paths_that_are_read(backend: Backend, rule: ToolsetRule) -> None:
    if rule.type != "http":
        return
    for endpoint in rule.config["endpoints"]:
        assert endpoint["methods"] == ["GET"]
        assert endpoint["paths"]
        assert all(path.startswith("$path/") and path != "$path/*" for path in endpoint["paths"])


@pytest.mark.parametrize(("backend", "rule"), toolsets(), ids=lambda it: it.name)
def test_toolsets_of_one_endpoint_each_have_names_of_their_own(backend: Backend, rule: ToolsetRule) -> None:
    assert ("$id" in rule.name) == (rule.many == "separate")


def test_no_word_means_two_backends() -> None:
    words = [word for backend in NAMED for word in backend.recognise.words]
    assert len(words) == len(set(words))


def test_no_backend_is_named_in_code() -> None:
    # Types of toolsets that HolmesGPT has are called so too.
    ambiguous = {"custom", "mcp", "mongodb"}
    for folder in ("toolset", "sidecar"):
        for file in files(folder).iterdir():
            if file.name.endswith(".py"):
                code = re.sub(r'("""|#).*?("""|\n)', "", file.read_text("utf-8"), flags=re.DOTALL)
                quoted = set(re.findall(r"[\"']([a-z0-9]+)[\"']", code))
                assert not quoted & (set(bundled()) - ambiguous), file.name


def test_a_minimal_file_is_read() -> None:
    assert read_backend(MINIMAL, "thing.yaml").name == "thing"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("[[{}]]", "expected either get, or send and receive"),
        ("[[{get: /, send: x, receive: x}]]", "expected either get, or send and receive"),
        ("[[{send: x}]]", "expected either get, or send and receive"),
        ("[[{send: 'hex:0g', receive: x}]]", "neither ASCII nor hex"),
        ("[[{send: x, receive: '('}]]", "no regular expression"),
        ("[[{post: /}]]", "expected either get, or send and receive, or post and body"),
        ("[[{put: /}]]", "unknown key"),
        ("[[{get: relative}]]", "String does not match"),
        ("[[]]", "Shorter than minimum length"),
    ],
)
def test_a_broken_proof_is_told_with_its_place(broken: str, told: str) -> None:
    with pytest.raises(CatalogueError, match=told) as error:
        read_backend(MINIMAL.replace("[[{get: /}]]", broken), "thing.yaml")
    assert "thing.yaml: line 5" in str(error.value)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_no_proof_carries_a_query(backend: Backend) -> None:
    """Before it is proven, an address gets no query: some products run ``?query=`` on any path."""
    asked = [exchange.get or "" for proof in (*backend.proofs, backend.refusals) for exchange in proof]
    assert not [path for path in asked if "?" in path]
