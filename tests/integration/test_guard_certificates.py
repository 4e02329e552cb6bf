"""The guard's webhook in service, on the real API server: certificates that change, replicas that go."""

import base64
import json
import os
import signal
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.guard import NAME, OWN, Guarded, Webhook, generated
from tests.home import CONFIG_MAP
from tests.realparts import network, running_control_plane, until
from tests.service import free_address
from webhook.certificates import Lifetimes, now, renewed

SECRET = ("secret", NAME, "-n", OWN)
REGISTRATION = ("validatingwebhookconfiguration", NAME)


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guarded]:
    with running_control_plane(tmp_path / "plane") as plane:
        guard = Guarded(plane, tmp_path)
        try:
            yield guard
        finally:
            for webhook in guard.webhooks:
                webhook.kill()


@dataclass
class Load:
    """A stranger who tries again and again; what became of each try."""

    guard: Guarded
    namespace: str
    denied: int = 0
    allowed: int = 0
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{CONFIG_MAP}"
        while not self._ending.is_set():
            answer = self.guard.stranger.http(
                "PATCH", path, b'{"data":{"x":"y"}}', "application/merge-patch+json"
            )
            if answer.ok:
                self.allowed += 1
            elif "only the service writes it" in answer.text:
                self.denied += 1
            else:
                self.errors.append(answer.text)


class Balancer:
    """What a Service does where there is a node: each connection goes to one of those who are ready."""

    def __init__(self, address: str) -> None:
        self.backends: list[Webhook] = []
        self._turn = 0
        balancer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                balancer.forward(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True
            request_queue_size = 100

        host, _, port = address.rpartition(":")
        self._server = Server((host, int(port)), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def forward(self, client: socket.socket) -> None:
        for _ in self.backends:
            self._turn += 1
            backend = self.backends[self._turn % len(self.backends)]
            host, _, port = backend.listen.rpartition(":")
            with suppress(OSError):
                server = socket.create_connection((host, int(port)), timeout=2)
                server.settimeout(None)
                break
        else:
            return
        with server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def service(guard: Guarded) -> Iterator[Balancer]:
    """The guard's Service: its ClusterIP, an empty Secret, and the ClusterRole that owns the registration."""
    address = f"{network()}.0.251"
    guard.plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": OWN},
            "spec": {"clusterIP": address, "ports": [{"port": 8443}]},
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": OWN}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME},
            "rules": [],
        },
    )
    balancer = Balancer(f"{address}:8443")
    yield balancer
    balancer.close()


def in_service(guard: Guarded, service: Balancer, replicas: int = 2, **certificate: Any) -> list[Webhook]:
    """Replicas behind the Service. No name of a Service resolves here, so they do not wait for it to."""
    settings = {"check_interval": "1s", "settle": "2s", **certificate}
    guard.config = {"service_port": 8443, "patience": "0s", "certificate": settings}
    service.backends = [
        guard.serve("--register", "service", listen=free_address(), wait=False) for _ in range(replicas)
    ]
    for webhook in service.backends:
        until(lambda w=webhook: w.ready() and w.metric("toolset_guard_trusted"), f"ready; see {webhook.log}")  # type: ignore[misc]
    return list(service.backends)


def read(guard: Guarded, *what: str) -> dict[str, Any]:
    text = guard.plane.kubectl("get", *what, "-o", "json", "--ignore-not-found")
    obj: dict[str, Any] = json.loads(text) if text else {}
    return obj


def secret(guard: Guarded) -> dict[str, bytes]:
    data = read(guard, *SECRET).get("data") or {}
    return {key: base64.b64decode(value) for key, value in data.items()}


def protected(guard: Guarded, namespace: str) -> Callable[[], bool]:
    label = ("label", "configmap", CONFIG_MAP, "-n", namespace, "a=b", "--dry-run=server")
    return lambda: guard.stranger(*label).denied


def test_authorities_and_certificates_change_under_load_and_no_request_fails(
    guard: Guarded, service: Balancer
) -> None:
    # Lives of seconds: certificates are renewed every 8 s, authorities every 16 s.
    in_service(guard, service, lifetime="12s", authority_lifetime="24s")
    namespace = guard.namespace("shop")
    seen: set[tuple[bytes, bytes]] = set()

    def changed() -> bool:
        files = secret(guard)
        seen.add((files["ca.key"], files["tls.crt"]))
        return len({key for key, _ in seen}) >= 3 and len(seen) >= 5

    with Load(guard, namespace) as load:
        until(changed, "three authorities, five certificates", seconds=150)
    assert load.errors == []
    assert load.allowed == 0
    assert load.denied > 100
    assert guard.write(generated(namespace)).ok


def test_replicas_agree_from_the_start(guard: Guarded, service: Balancer) -> None:
    webhooks = in_service(guard, service, replicas=3)
    files = secret(guard)
    assert {"ca.crt", "ca.key", "tls.crt", "tls.key"} == set(files)
    bundle = base64.b64encode(files["ca.crt"]).decode()
    entries = read(guard, *REGISTRATION)["webhooks"]
    assert {entry["clientConfig"]["caBundle"] for entry in entries} == {bundle}
    assert all(webhook.ready() for webhook in webhooks)


def test_one_replica_after_the_other_restarts_and_no_request_fails(guard: Guarded, service: Balancer) -> None:
    in_service(guard, service)
    namespace = guard.namespace("shop")
    with Load(guard, namespace) as load:
        for leaving in list(service.backends):
            before = load.denied
            coming = guard.serve("--register", "service", listen=free_address())
            service.backends = [b for b in service.backends if b is not leaving] + [coming]
            assert leaving.end() == 0
            until(lambda b=before: load.denied > b + 20, "it goes on")  # type: ignore[misc]
    assert load.errors == []
    assert load.allowed == 0


def test_replicas_are_killed_and_nobody_gets_in(guard: Guarded, service: Balancer) -> None:
    in_service(guard, service)
    namespace = guard.namespace("shop")
    with Load(guard, namespace) as load:
        for dying in list(service.backends):
            before = load.denied
            dying.kill()
            until(lambda b=before: load.denied > b + 20, "the other one answers")  # type: ignore[misc]
            assert guard.write(generated(namespace, labels={"n": str(before)})).ok
            service.backends = [b for b in service.backends if b is not dying]
            service.backends.append(guard.serve("--register", "service", listen=free_address()))
    assert load.allowed == 0
    # A request that was with the killed one is refused, too; it only says so less well.
    assert all("failed calling webhook" in error for error in load.errors)
    assert len(load.errors) <= 8


def test_with_all_of_them_gone_the_service_writes_and_strangers_do_not(
    guard: Guarded, service: Balancer
) -> None:
    webhooks = in_service(guard, service)
    namespace = guard.namespace("shop")
    for webhook in webhooks:
        webhook.kill()
    answer = guard.stranger("label", "configmap", CONFIG_MAP, "-n", namespace, "a=b")
    assert not answer.ok
    assert "failed calling webhook" in answer.error
    assert guard.write(generated(namespace, labels={"a": "b"})).ok
    flags = ("--cascade=foreground", "--wait=true", "--timeout=60s")
    assert guard.stranger("delete", "configmap", CONFIG_MAP, "-n", namespace, *flags).ok
    assert guard.stranger("create", "configmap", "other", "-n", namespace).ok
    guard.plane.kubectl("delete", "namespace", namespace, "--wait=true", "--timeout=90s")


def test_uninstalling_leaves_nothing_that_blocks(guard: Guarded, service: Balancer) -> None:
    webhooks = in_service(guard, service)
    namespace = guard.namespace("shop")
    until(protected(guard, namespace), "it is guarded")
    for webhook in webhooks:
        assert webhook.end() == 0
    assert read(guard, *REGISTRATION), "a restart must not open the door"
    guard.plane.kubectl("delete", "clusterrole", NAME)
    until(lambda: not read(guard, *REGISTRATION), "the registration went with its owner")
    assert guard.stranger("label", "configmap", CONFIG_MAP, "-n", namespace, "a=b").ok


def test_what_somebody_breaks_is_put_right(guard: Guarded, service: Balancer) -> None:
    in_service(guard, service)
    namespace = guard.namespace("shop")
    files = secret(guard)
    guard.plane.kubectl("patch", *SECRET, "--type=merge", "-p", '{"data": null}')
    until(lambda: secret(guard) == files, "the Secret holds again what it held")
    open_it = '[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"},'
    open_it += '{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]'
    guard.plane.kubectl("patch", *REGISTRATION, "--type=json", "-p", open_it)
    until(lambda: read(guard, *REGISTRATION)["webhooks"][0]["failurePolicy"] == "Fail", "closed again")
    until(protected(guard, namespace), "it is guarded")
    guard.plane.kubectl("delete", *REGISTRATION)
    until(protected(guard, namespace), "it is registered again")


def test_an_existing_certificate_is_followed(guard: Guarded, service: Balancer) -> None:
    def put() -> None:
        hosts = [f"{NAME}.{OWN}.svc"]
        files = renewed({}, hosts, now(), Lifetimes(timedelta(days=1), timedelta(days=2))) or {}
        data = {key: base64.b64encode(value).decode() for key, value in files.items() if key != "ca.key"}
        guard.plane.kubectl("patch", *SECRET, "--type=merge", "-p", json.dumps({"data": data}))

    put()
    webhook = in_service(guard, service, replicas=1, mode="existing")[0]
    namespace = guard.namespace("shop")
    until(protected(guard, namespace), "it is guarded")
    with Load(guard, namespace) as load:
        before = webhook.log.read_text().count("serving a certificate")
        put()
        until(lambda: webhook.log.read_text().count("serving a certificate") > before, "the new one")
        until(lambda: load.denied > 50, "it goes on")
    assert load.errors == []


def test_a_slow_client_keeps_nobody_waiting(guard: Guarded, service: Balancer) -> None:
    webhook = in_service(guard, service, replicas=1)[0]
    host, _, port = webhook.listen.rpartition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(60)]
    for connection in idle:
        connection.sendall(b"\x16")  # the first byte of a handshake, and no more
    until(webhook.ready, "it answers again", seconds=30)
    for connection in idle:
        connection.close()


def test_it_ends_in_time(guard: Guarded, service: Balancer) -> None:
    webhook = in_service(guard, service, replicas=1)[0]
    os.kill(webhook.process.pid, signal.SIGTERM)
    until(lambda: webhook.get("/ready")[0] in {503, 0}, "it is not ready any more")
    assert webhook.process.wait(timeout=20) == 0
