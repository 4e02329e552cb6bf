"""Proofs in protocols other than HTTP, over real sockets: recorded answers replayed, harm avoided."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from sidecar import wire
from sidecar.prove import NetworkProber, Outcome, Question, Verdict
from tests.unit.test_proofs import TCP
from toolset.catalogue import bundled
from toolset.classify import classify
from toolset.service import Service

Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[tuple[int, list[float]]]:
    """A server on loopback: its port, and when it was visited."""
    visits: list[float] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            visits.append(time.monotonic())
            with connection, suppress(OSError):
                talk(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], visits
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def replay(name: str) -> Talk:
    """Answers as the recorded server did; one that speaks first does so at once."""
    answers = {bytes.fromhex(sent): said for sent, said in recorded(name).items()}

    def talk(connection: socket.socket) -> None:
        said = answers.get(b"") or answers.get(connection.recv(4096), "")
        if said is not None:
            connection.sendall(bytes.fromhex(said))
            connection.recv(1)

    return talk


def recorded(name: str) -> dict[str, str | None]:
    return next(it["answers"] for it in TCP if it["server"] == name)


def ask(product: str, port: int, uid: str = "") -> Verdict:
    service = Service.from_object(
        {
            "metadata": {"name": product, "namespace": "here", "uid": uid or f"{product}-{port}"},
            "spec": {
                "clusterIP": "127.0.0.1",
                "selector": {"app": product},
                "ports": [{"port": port}],
            },
        }
    )
    candidates = classify(service, bundled()).candidates
    (verdict,) = NetworkProber(cluster_domain="cluster.local", timeout=0.5).ask([Question(candidates)])
    return verdict


@pytest.mark.parametrize(
    ("product", "name", "outcome"),
    [
        ("postgresql", "postgres", Outcome.NEEDS_CREDENTIALS),
        ("mysql", "mariadb", Outcome.NEEDS_CREDENTIALS),
        ("mysql", "mariadb that blocks this host", Outcome.NEEDS_CREDENTIALS),
        ("mongodb", "ferretdb", Outcome.NEEDS_CREDENTIALS),
        ("redis", "redis", Outcome.VERIFIED),
        ("redis", "redis-auth", Outcome.NEEDS_CREDENTIALS),
        ("kafka", "kafka", Outcome.VERIFIED),
        ("kafka", "kafka-sasl", Outcome.NEEDS_CREDENTIALS),
        ("postgresql", "impostor-echo", Outcome.MISMATCH),
        ("kafka", "impostor-echo", Outcome.MISMATCH),
        ("redis", "impostor-banner", Outcome.MISMATCH),
        ("mysql", "impostor-banner", Outcome.MISMATCH),
        ("redis", "mariadb", Outcome.MISMATCH),
        ("postgresql", "mariadb", Outcome.MISMATCH),
    ],
)
def test_a_recorded_server_is_told_for_what_it_is(product: str, name: str, outcome: Outcome) -> None:
    with server(replay(name)) as (port, _):
        verdict = ask(product, port)
    assert verdict.outcome is outcome, verdict.evidence
    assert verdict.endpoint.scheme == "tcp"


def test_one_that_counts_visits_is_visited_once_for_as_long_as_the_process_lives() -> None:
    with server(replay("mariadb")) as (port, visits):
        verdicts = [ask("mysql", port) for _ in range(3)]
    assert {verdict.outcome for verdict in verdicts} == {Outcome.NEEDS_CREDENTIALS}
    assert len(visits) == 1


def test_another_service_at_the_same_address_is_another_visit() -> None:
    with server(replay("mariadb")) as (port, visits):
        ask("mysql", port, uid="one")
        ask("mysql", port, uid="two")
    assert len(visits) == 2


def test_it_is_never_visited_by_http() -> None:
    """A product that is spoken to in its own protocol is never sent a request of another."""
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heard.append(connection.recv(4096))

    with server(talk) as (port, _):
        ask("redis", port)
    assert b"PING\r\n" in heard
    assert not any(said.startswith(b"GET") for said in heard)


def test_who_asks_for_a_login_is_not_waited_for() -> None:
    started = time.monotonic()
    with server(replay("redis-auth")) as (port, _):
        verdict = ask("redis", port)
        took = time.monotonic() - started
    assert verdict.outcome is Outcome.NEEDS_CREDENTIALS
    assert took < 0.5, "less than the timeout of one exchange"


def test_a_broker_that_falls_silent_after_its_greeting_is_sick_and_asks_for_no_login() -> None:
    greeting = next(said for said in recorded("kafka").values() if said)

    def talk(connection: socket.socket) -> None:
        if connection.recv(4096)[5] == 18:  # ApiVersions
            connection.sendall(bytes.fromhex(greeting))
        connection.recv(1)

    with server(talk) as (port, _):
        verdict = ask("kafka", port)
    assert verdict.outcome is Outcome.NOT_SERVING, verdict.evidence


def test_a_silent_server_costs_the_deadline_and_no_more() -> None:
    with server(lambda connection: time.sleep(2)) as (port, _):
        started = time.monotonic()
        verdict = ask("kafka", port)
    assert verdict.outcome is Outcome.MISMATCH
    assert time.monotonic() - started < 3


def test_a_dripping_server_costs_the_deadline_and_no_more() -> None:
    def talk(connection: socket.socket) -> None:
        for _ in range(40):
            connection.sendall(b".")
            time.sleep(0.1)

    with server(talk) as (port, _):
        started = time.monotonic()
        verdict = ask("mysql", port)
        took = time.monotonic() - started
    assert verdict.outcome is Outcome.MISMATCH
    assert took < 2


def test_a_flood_is_read_to_the_limit() -> None:
    def talk(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    with server(talk) as (port, _):
        assert ask("mysql", port).outcome is Outcome.MISMATCH


def test_nobody_there_is_told_as_such() -> None:
    with server(lambda _: None) as (port, _):
        pass
    verdict = ask("postgresql", port)
    assert verdict.outcome is Outcome.UNREACHABLE
    assert "cannot connect" in verdict.evidence[0]


def test_memory_is_bounded() -> None:
    memory = wire.Memory()
    for number in range(wire.MAX_REMEMBERED + 5):
        memory.keep(str(number), 1, b"x")
    assert len(memory.answers) == wire.MAX_REMEMBERED
    assert ("0", 1) not in memory.answers
