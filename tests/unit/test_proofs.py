"""Each proof on what real servers answer: every one matches its own and only that, look-alikes match none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolset.backend import Backend, Exchange
from toolset.catalogue import bundled
from toolset.proof import Answer, why_not

ATLAS = Path(__file__).parents[1] / "atlas"
BARE_404: list[Any] = [404, {"content-type": "text/plain; charset=utf-8"}, "404 page not found\n"]

Server = dict[str, Any]


def load(*names: str) -> list[Server]:
    return [server for name in names for server in json.loads((ATLAS / name).read_text("utf-8"))]


HTTP = load("http.json", "documented.json")
TCP = load("tcp.json")
BACKENDS = [backend for backend in bundled().values() if backend.name != "custom"]


def called(server: Server) -> str:
    name: str = server["server"]
    return name


def http_answer(server: Server, target: str, accept: str) -> Answer | None:
    """None where it is not known what the server says."""
    recorded = server["answers"].get(f"{target} Accept: {accept}" if accept else target)
    if recorded is None:
        return None
    status, headers, body = BARE_404 if recorded == 404 else recorded
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Answer(status, tuple((name, value) for name, value in pairs), body.encode())


def holds(server: Server, exchange: Exchange, prefix: str) -> bool:
    if exchange.send is not None:
        received = server["answers"].get(exchange.send.hex()) if server in TCP else None
        return received is not None and not why_not(exchange.expect, Answer(0, body=bytes.fromhex(received)))
    target = exchange.get if exchange.at_root else prefix + (exchange.get or "") or "/"
    answer = http_answer(server, target or "/", exchange.accept) if server in HTTP else None
    return answer is not None and not why_not(exchange.expect, answer)


def prefixes(server: Server, backend: Backend) -> Iterator[str]:
    """The prefixes that the file names, and the one that the server was started with."""
    yield from backend.endpoint.paths
    for paths in backend.endpoint.port_paths.values():
        yield from paths
    for path in ("/prom", "/thanos", "/vm", "/jaeger", "/argocd", "/nats", "/logs", "/kiali"):
        if any(target.startswith(path + "/") for target in server["answers"]):
            yield path


def proven_as(server: Server) -> set[str]:
    return {
        backend.name
        for backend in BACKENDS
        for prefix in prefixes(server, backend)
        for proof in backend.proofs
        if all(holds(server, exchange, prefix) for exchange in proof)
    }


@pytest.mark.parametrize("server", [*HTTP, *TCP], ids=called)
def test_a_server_proves_to_be_what_it_is_and_nothing_else(server: Server) -> None:
    assert proven_as(server) == ({server["is"]} if server["is"] else set())


@pytest.mark.parametrize("server", [it for it in [*HTTP, *TCP] if "refuses_as" in it], ids=called)
def test_who_asks_for_a_login_shows_himself_by_how_he_asks(server: Server) -> None:
    shown = {
        backend.name for backend in BACKENDS for refusal in backend.refusals if holds(server, refusal, "")
    }
    # One realm is the whole family's: its other members are told apart by who is a candidate.
    assert shown == set(server["refuses_as"])


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_every_backend_is_proven_by_a_server(backend: Backend) -> None:
    assert any(server["is"] == backend.name for server in [*HTTP, *TCP])


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_a_page_for_every_path_proves_nothing(backend: Backend) -> None:
    page = Answer(200, (("content-type", "text/html"),), b"<!doctype html><title>App</title>OK")
    for proof in backend.proofs:
        assert any(why_not(exchange.expect, page) for exchange in proof)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("status", [200, 401, 403, 404])
def test_a_status_alone_proves_nothing(backend: Backend, status: int) -> None:
    bare = Answer(status, (("content-type", "application/json"),), b'{"status": "ok"}')
    for proof in backend.proofs:
        assert any(why_not(exchange.expect, bare) for exchange in proof)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_no_query_is_sent_to_an_unproven_address(backend: Backend) -> None:
    for exchange in [*(it for proof in backend.proofs for it in proof), *backend.refusals]:
        assert "?" not in (exchange.get or "")
