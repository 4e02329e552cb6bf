"""Real servers, proven for what they are and for nothing else, and used by the real HolmesGPT."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from sidecar.prove import NetworkProber, Outcome, Question, Verdict
from tests.backends.kinds import KINDS
from tests.backends.servers import Running, running
from tests.programs import Holmes
from tests.realparts import part, unavailable
from toolset import render
from toolset.catalogue import bundled
from toolset.classify import Candidate, classify
from toolset.discovered import Discovered, Status
from toolset.render import Settings
from toolset.service import Service

CATALOGUE = bundled()
SETTINGS = Settings()


@pytest.fixture(scope="module")
def servers(cluster_ip: Callable[[], str]) -> Iterator[dict[str, Running]]:
    """All of them that this machine has."""
    with running([name for name, kind in KINDS.items() if kind.there], cluster_ip) as started:
        yield started


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, servers: dict[str, Running]) -> Running:
    """Each of them, by itself."""
    return _one(servers, request.param)


def _one(servers: dict[str, Running], name: str) -> Running:
    if name == "postgresql" and name not in servers:
        unavailable(
            "PostgreSQL is used where it is installed, since it refuses root: apt-get install postgresql"
        )
    part(KINDS[name].part)
    return servers[name]


def candidates(server: Running, name: str, said_to_be: str = "") -> tuple[Candidate, ...]:
    """What a Service called `name` in front of the server may be."""
    annotations = {"kubernaut.io/toolset-type": said_to_be} if said_to_be else {}
    service = Service.from_object(
        {
            "metadata": {
                "name": name,
                "namespace": "here",
                "uid": f"{name}-{server.ip}",
                "annotations": annotations,
            },
            "spec": {
                "clusterIP": server.ip,
                "selector": {"app": name},
                "ports": [{"port": server.kind.port}],
            },
        }
    )
    return classify(service, CATALOGUE).candidates


def ask(*of: tuple[Candidate, ...], timeout: float = 5) -> list[Verdict]:
    return NetworkProber(cluster_domain="cluster.local", timeout=timeout).ask([Question(it) for it in of])


def test_it_is_proven_as_what_it_is(server: Running) -> None:
    (verdict,) = ask(candidates(server, server.kind.backend))

    assert verdict.outcome is server.kind.outcome, verdict
    assert verdict.candidate.backend.name == server.kind.backend
    shown = f"as {verdict.candidate.backend.title} does"
    assert any(shown in said for said in verdict.evidence), "the product itself, not a mere login"


# Where a visit that is no login counts against the visitor's host, only the product itself is asked for.
@pytest.mark.parametrize("server", [name for name in KINDS if name != "mysql"], indirect=True)
def test_it_is_nothing_else_whatever_its_service_is_called(server: Running) -> None:
    others = sorted(set(CATALOGUE) - {server.kind.backend, "custom"})
    called_so = [candidates(server, name) for name in others]
    said_to_be = [candidates(server, name, said_to_be=name) for name in others]
    asked = [question for question in (*called_so, *said_to_be) if question]
    assert len(asked) >= len(others)

    for verdict in ask(*asked, timeout=1):
        if verdict.candidate.backend.name != server.kind.backend:
            assert verdict.outcome is not Outcome.VERIFIED, verdict
            assert not verdict.proof, verdict


# What Bitnami's charts (thanos, kafka), the makers' own and openzipkin's call the Service, and its port.
CHARTS = {
    "thanos": ("thanos-query", "http"),
    "mimir": ("mimir-query-frontend", "http-metrics"),
    "cortex": ("cortex-query-frontend", "http-metrics"),
    "loki": ("loki", "http-metrics"),
    "zipkin": ("zipkin", "http-query"),
    "kafka": ("kafka", "tcp-client"),
    "opensearch": ("opensearch-cluster-master", "http"),
    "elasticsearch": ("elasticsearch-master", "http"),
}


@pytest.mark.parametrize("server", CHARTS, indirect=True)
def test_it_is_found_behind_the_service_of_its_chart(server: Running) -> None:
    name, port = CHARTS[server.kind.backend]
    service = Service.from_object(
        {
            "metadata": {
                "name": name,
                "namespace": "here",
                "labels": {"app.kubernetes.io/name": server.kind.backend},
            },
            "spec": {
                "clusterIP": server.ip,
                "selector": {"app.kubernetes.io/name": server.kind.backend},
                "ports": [{"port": server.kind.port, "name": port}],
            },
        }
    )
    found = classify(service, CATALOGUE)
    assert found.candidates, found.ruled_out

    (verdict,) = ask(found.candidates)

    assert (verdict.outcome, verdict.candidate.backend.name) == (Outcome.VERIFIED, server.kind.backend)


PROMQL = ("victoriametrics", "thanos", "mimir", "cortex")
SEARCH = ("elasticsearch", "opensearch")
USED = (*PROMQL, *SEARCH, "victorialogs", "alertmanager", "jaeger", "nats", "loki", "zipkin")


def test_holmesgpt_enables_and_uses_them(tmp_path: Path, servers: dict[str, Running], holmes: Holmes) -> None:
    used = {name: _one(servers, name) for name in USED}
    verdicts = ask(*(candidates(server, name) for name, server in used.items()))
    found = [
        Discovered(it.candidate, it.endpoint, Status.VERIFIED, it.verify_ssl)
        for it in verdicts
        if it.outcome is Outcome.VERIFIED
    ]
    file = tmp_path / "custom_toolset.yaml"
    document = render.with_revision(render.toolset_document(found, SETTINGS), found)
    file.write_text(render.toolset_yaml(document))
    dns = {f"{name}.here.svc.cluster.local": server.ip for name, server in used.items()}

    told = holmes(file, dns=dns, invoke=[call for calls in _calls(found).values() for call in calls])

    assert told["outcome"] == "loaded", told
    assert told["errors"] == told["warnings"] == [], told
    assert {name: entry["status"] for name, entry in told["toolsets"].items()} == dict.fromkeys(
        document["toolsets"], "enabled"
    )
    answers = dict(zip(_calls(found), told["invocations"], strict=True))
    # Nothing was ever stored in them: HolmesGPT tells an empty answer from a failed one.
    assert {name: answer["error"] for name, answer in answers.items() if answer["status"] == "error"} == {}


def _calls(found: list[Discovered]) -> dict[str, list[tuple[str, Mapping[str, str]]]]:
    """A call of a tool for each server, by its name."""
    paths = {
        "alertmanager": "/api/v2/alerts",
        "jaeger": "/api/services",
        "nats": "/varz",
        "zipkin": "/api/v2/services",
    }
    calls: dict[str, list[tuple[str, Mapping[str, str]]]] = {
        "victorialogs": [("victorialogs_query", {"query": "_time:5m"})],
        "loki": [("grafana_loki_query", {"query": '{job="x"}'})],
    }
    two = {"query": "1 + 1", "description": "two"}
    for name in PROMQL:
        calls[name] = [("execute_prometheus_instant_query", {**two, "instance": f"here/{name}"})]
    for name in SEARCH:
        calls[name] = [("elasticsearch_cluster_health", {"instance": f"here/{name}"})]
    for one in found:
        if one.type in paths:
            (name,) = render.toolset_names([one], SETTINGS)[one.service.key]
            tool = name.replace("/", "_").replace("-", "_") + "_request"
            url = render.url_of(one, SETTINGS) + paths[one.type]
            calls[one.type] = [(tool, {"url": url, "method": "GET"})]
    return calls
