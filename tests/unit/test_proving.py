"""The engine against recorded servers, over real sockets: what each is found to be, and at which prefix."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sidecar.prove import NetworkProber, Outcome, Question, Verdict
from tests.unit.test_proofs import BACKENDS, HTTP, Server, http_answer
from toolset.catalogue import bundled
from toolset.classify import classify
from toolset.service import Service

KNOWN = frozenset({Outcome.VERIFIED, Outcome.NEEDS_CREDENTIALS, Outcome.NOT_SERVING})
"""Outcomes of what has shown what it is; whether it answers queries was not recorded of all."""

# At prefixes that a server does not tell; an owner's annotation does.
UNTOLD = {"nats v2.15.2-base-path-and-auth", "loki v3.7.8-http_path_prefix"}
PREFIXES = {
    "argocd v3.2.11-rootpath": "/argocd",
    "jaeger v1.76-base-path-jaeger": "/jaeger",
    "jaeger v2.13-base-path": "/jaeger",
    "prometheus v2.42-route-prefix": "/prom",
    "prometheus v3.16-route-prefix": "/prom",
    "thanos v0.42.0-query-route-prefix": "/thanos",
    "victoriametrics v1.151.0-http-pathPrefix": "/vm",
    "kiali": "/kiali",
}


@contextmanager
def replay(recorded: Server) -> Iterator[tuple[int, list[str]]]:
    """The server again: its port, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            accept = self.headers["Accept"]
            answer = http_answer(recorded, self.path, accept) or http_answer(recorded, self.path, "")
            if answer is None:
                self.send_error(404)
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1], asked
        server.shutdown()
        thread.join(5)


def ask(product: str, port: int, port_name: str = "http") -> Verdict:
    annotations = {"kubernaut.io/toolset-type": product}
    service = Service.from_object(
        {
            "metadata": {"name": "it", "namespace": "here", "uid": "u", "annotations": annotations},
            "spec": {
                "clusterIP": "127.0.0.1",
                "selector": {"app": "it"},
                "ports": [{"name": port_name, "port": port}],
            },
        }
    )
    candidates = classify(service, bundled()).candidates
    (verdict,) = NetworkProber(cluster_domain="cluster.local", timeout=2).ask([Question(candidates)])
    return verdict


def called(server: Server) -> str:
    name: str = server["server"]
    return name


@pytest.mark.parametrize("server", [it for it in HTTP if it["is"] and called(it) not in UNTOLD], ids=called)
def test_a_server_is_found_where_it_is(server: Server) -> None:
    # A cluster's query part is known by its port, which a replay cannot have.
    if called(server) == "vmselect":
        return
    with replay(server) as (port, _):
        verdict = ask(server["is"], port)
    assert verdict.outcome in KNOWN, verdict.evidence
    if called(server) in PREFIXES:
        assert verdict.endpoint.path == PREFIXES[called(server)]


@pytest.mark.parametrize("server", [it for it in HTTP if not it["is"]], ids=called)
def test_a_look_alike_never_gets_in(server: Server) -> None:
    suspects = [it.name for it in BACKENDS if "http" in it.endpoint.schemes]
    with replay(server) as (port, asked):
        # Those whom its own name or its kind suggests; the pure test asks them all.
        likely = [name for name in suspects if name in called(server)] or ["prometheus", "elasticsearch"]
        outcomes = {name: ask(name, port).outcome for name in likely}
    assert Outcome.VERIFIED not in outcomes.values()
    assert not any("query=" in path for path in asked)
