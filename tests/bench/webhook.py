"""The guard's webhook under load: kept-alive TLS, the server on one core, the client on another.

    python -m tests.bench.webhook [SECONDS]

Denials of strangers (two objects of 4 KB, as an update sends them) at 100/s, at 500/s and flat out; the
service's own writes of 16 KB, whose content is checked, at 20/s; all open-loop: a late answer delays no other
request, and its wait counts. Then a ConfigMap's write through a real API server, with the guard and without.
"""

import asyncio
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.guard import OWN, WRITER, Guarded, generated
from tests.home import CONFIG_MAP
from tests.realparts import running_control_plane, until
from tests.service import COMMAND, free_address
from toolset.names import FIELD_MANAGER

CONNECTIONS = 16
SERVER_CORE, CLIENT_CORE = 0, 1


def toolsets(size: int) -> dict[str, str]:
    """A generated ConfigMap's data of about this many bytes, as the service renders it."""
    entries, tools, services = "toolsets:\n", [], "services:\n"
    index = 0
    while len(entries) + len(json.dumps(tools)) + len(services) < size:
        url = f"http://prometheus-{index}.monitoring.svc.cluster.local:9090"
        entries += f'  "http/monitoring__app-{index}":\n    enabled: true\n    type: "http"\n'
        entries += f'    description: "An application"\n    config:\n      "endpoint": "{url}"\n'
        tool = {"name": f"app-{index}", "namespace": "monitoring", "uid": "x" * 36, "type": "prometheus"}
        tools.append(
            {
                **tool,
                "description": "d",
                "url": url,
                "status": "verified",
                "verify_ssl": True,
                "toolsets": ["a"],
            }
        )
        services += f'  - name: "app-{index}"\n    namespace: "monitoring"\n    type: "prometheus"\n'
        services += f'    endpoint: "{url}"\n    status: "verified"\n'
        index += 1
    return {
        "custom_toolset.yaml": entries,
        "toolset.json": json.dumps({"tools": tools}),
        "services.yaml": services,
    }


def review(user: str, size: int) -> bytes:
    """The HTTP request of an UPDATE's review."""
    old = generated("monitoring", toolsets(size))
    new = generated("monitoring", {**old["data"], "toolset.json": '{"tools": []}', "x": ""})
    if user == WRITER:
        old, new = {**old, "data": {}}, old
    request = {
        "uid": "0df28fbd-5f5f-11e8-bc74-36e6bb280816",
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "operation": "UPDATE",
        "name": CONFIG_MAP,
        "namespace": "monitoring",
        "userInfo": {"username": user, "groups": ["system:authenticated"]},
        "object": new,
        "oldObject": old,
    }
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    head = "POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body.encode()


async def load(address: str, request: bytes, expected: bytes, rate: float, seconds: float) -> list[float]:
    """Latencies in seconds, from when each request was due; flat out where there is no rate."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    latencies: list[float] = []
    opened = [await asyncio.open_connection(host, int(port), ssl=context) for _ in range(CONNECTIONS)]
    start = time.perf_counter()
    total = int(rate * seconds) if rate else 1 << 60
    taken = 0

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        while taken < total and time.perf_counter() < start + seconds:
            due = start + taken / rate if rate else time.perf_counter()
            taken += 1
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            assert expected in body, body
            latencies.append(time.perf_counter() - due)
        writer.close()

    await asyncio.gather(*(send(*connection) for connection in opened))
    return latencies


@contextmanager
def served(directory: Path) -> Iterator[tuple[str, int]]:
    """The webhook alone on its core: its address, and its worker's process."""
    address = free_address()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), COMMAND, "webhook", "--listen", address],
            env={**os.environ, "POD_NAMESPACE": OWN},
            stderr=log,
            start_new_session=True,
        )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        worker = until(lambda: children.read_text().split(), "a worker")[0]
        until(lambda: "serving" in (directory / "log").read_text(), "it serves")
        yield address, int(worker)
    finally:
        process.terminate()
        process.wait(30)


def resident(process: int) -> float:
    """MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def figures(latencies: Sequence[float], seconds: float) -> dict[str, float]:
    """Milliseconds and requests a second."""
    cuts = statistics.quantiles(latencies, n=1000)
    return {
        "requests_s": round(len(latencies) / seconds),
        "p50_ms": round(cuts[499] * 1000, 2),
        "p99_ms": round(cuts[989] * 1000, 2),
        "max_ms": round(max(latencies) * 1000, 1),
    }


def alone(seconds: float) -> None:
    """The webhook by itself."""
    cases: list[tuple[str, str, int, bytes, float]] = [
        ("denials, 100/s", "alice", 4096, b'"allowed": false', 100),
        ("denials, 500/s", "alice", 4096, b'"allowed": false', 500),
        ("denials, flat out", "alice", 4096, b'"allowed": false', 0),
        ("own writes of 16 KB, 20/s", WRITER, 16384, b'"allowed": true', 20),
    ]
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as (address, worker):
        for name, user, size, expected, rate in cases:
            request = review(user, size)
            asyncio.run(load(address, request, expected, rate, 1))
            told = figures(asyncio.run(load(address, request, expected, rate, seconds)), seconds)
            print(json.dumps({"case": name, **told, "resident_mb": round(resident(worker), 1)}), flush=True)


def through_the_api_server(count: int) -> None:
    """A ConfigMap's write by the service, guarded in each way and not at all."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_control_plane(Path(directory, "plane")) as plane,
    ):
        guard = Guarded(plane, Path(directory))
        plane.kubectl("create", "namespace", "monitoring")
        for mode in ("off", "webhook", "policy", "both"):
            if mode != "off":
                guard.start(mode)
            told = {"case": f"write of 16 KB, guard {mode}", **writes(guard, count)}
            print(json.dumps(told), flush=True)
        guard.stop()


def writes(guard: Guarded, count: int) -> dict[str, float]:
    """Server-side apply by the service; each changes something, one after the other."""
    path = f"/api/v1/namespaces/monitoring/configmaps/{CONFIG_MAP}?fieldManager={FIELD_MANAGER}&force=true"
    latencies = []
    data = toolsets(16384)
    with guard.service.session() as send:
        for index in range(count + 20):
            changed = {**data, "custom_toolset.yaml": data["custom_toolset.yaml"] + f"# {index}\n"}
            body = json.dumps(generated("monitoring", changed)).encode()
            start = time.perf_counter()
            answer = send("PATCH", path, body, "application/apply-patch+yaml")
            latencies.append(time.perf_counter() - start)
            assert answer.ok, answer.text
    return figures(latencies[20:], sum(latencies[20:]))


def main() -> None:
    """All of it."""
    seconds = float(sys.argv[1]) if sys.argv[1:] else 20
    os.sched_setaffinity(0, {CLIENT_CORE})
    alone(seconds)
    os.sched_setaffinity(0, {SERVER_CORE, CLIENT_CORE})
    through_the_api_server(300)


if __name__ == "__main__":
    main()
