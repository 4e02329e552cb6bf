"""What real servers say themselves of our visits: by their logs and their counts, they did no harm."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from sidecar.prove import Outcome
from tests.backends.kinds import KINDS, Kind
from tests.backends.servers import Running, running
from tests.backends.test_real_servers import CATALOGUE, ask, candidates
from tests.realparts import LOCAL, part, until

VISITS = 10


@contextmanager
def one(name: str, cluster_ip: Callable[[], str], *flags: str) -> Iterator[Running]:
    """A server of its own, with further flags."""
    kind: Kind = KINDS[name]
    part(kind.part)
    with (
        patch.dict(KINDS, {name: replace(kind, flags=(*kind.flags, *flags))}),
        running([name], cluster_ip) as there,
    ):
        yield there[name]


def test_mariadb_is_visited_once_by_its_own_log(cluster_ip: Callable[[], str]) -> None:
    """After max_connect_errors such visits it locks the visitor's host out, real clients included."""
    with one("mysql", cluster_ip, "--log-warnings=9") as server:
        for _ in range(VISITS):
            (verdict,) = ask(candidates(server, "mysql"))
            assert verdict.outcome is Outcome.NEEDS_CREDENTIALS
        aborted = re.compile(r"Aborted connection \d+ .*")
        until(lambda: aborted.search(server.log.read_text()), "it logs a visit without a login")
        with socket.create_connection(
            (server.ip, server.kind.port)
        ) as visit:  # of ours, to know that all are logged
            visit.recv(100)
        until(lambda: len(aborted.findall(server.log.read_text())) > 1, "and the visit of the test")
        assert len(aborted.findall(server.log.read_text())) == 2, server.log.read_text()


def test_redis_ran_nothing_but_a_ping_by_its_own_count(cluster_ip: Callable[[], str]) -> None:
    with one("redis", cluster_ip) as server:
        for _ in range(VISITS):
            (verdict,) = ask(candidates(server, "redis"))
            assert verdict.outcome is Outcome.VERIFIED
        with socket.create_connection((server.ip, server.kind.port)) as visit:
            visit.sendall(b"INFO commandstats\r\n")
            told = visit.recv(65536).decode()
    assert set(re.findall(r"cmdstat_(\S+):", told)) <= {"ping", "info|server", "info", "hello"}, told


def test_prometheus_is_asked_no_query_by_who_takes_it_for_something_else(
    cluster_ip: Callable[[], str],
) -> None:
    """As each backend in turn, such as ClickHouse and OpenCost; by its own count of requests."""
    with one("prometheus", cluster_ip) as server:
        others = [
            candidates(server, name, said_to_be=name)
            for name in sorted({*CATALOGUE} - {"prometheus", "custom"})
        ]
        for verdict in ask(*(it for it in others if it), timeout=2):
            assert verdict.outcome is not Outcome.VERIFIED
        metrics = LOCAL.get(f"http://{server.ip}:{server.kind.port}/metrics", timeout=5).text
    handlers = set(re.findall(r'prometheus_http_requests_total\{code="\d+",handler="([^"]+)"\}', metrics))
    harmless = {
        "/",
        "/-/healthy",
        "/-/ready",
        "/api/v1/status/buildinfo",
        "/metrics",
        "/*filepath",
        "/graph",
        "/classic/",
    }
    asked = {
        handler
        for handler, count in re.findall(
            r'prometheus_http_requests_total\{code="\d+",handler="([^"]+)"\} ([1-9]\d*)', metrics
        )
    }
    assert handlers
    assert asked <= harmless, asked - harmless
