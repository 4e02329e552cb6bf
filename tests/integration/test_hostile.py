"""A thousand hostile Services of one namespace on a real API server cost nobody else anything."""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.home import Home, service
from tests.programs import Serve
from tests.realparts import ControlPlane, running_control_plane, until
from tests.service import Running, Start
from toolset.limits import MAX_PER_TOOLSET

POSING, DRIPPING = 100, 900
"""How many there are matters no more once there are more than are asked, by name; these are of both kinds."""

ANSWERS = {
    "/-/healthy": ("text/plain", "Prometheus Server is Healthy.\n"),
    "/api/v1/status/buildinfo": (
        "application/json",
        json.dumps({"status": "success", "data": {"version": "3", "revision": "x", "goVersion": "y"}}),
    ),
    "/api/v1/query": (
        "application/json",
        json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}),
    ),
}


async def pose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers as Prometheus does."""
    request = await reader.readuntil(b"\r\n\r\n")
    path = request.split(b" ")[1].decode().partition("?")[0]
    kind, body = ANSWERS.get(path, ("text/plain", ""))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A letter of a header twice a second, for ever."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await asyncio.sleep(0.5)
        writer.write(b"X")
        await writer.drain()


@contextmanager
def serving(behaviour: Callable[..., Any]) -> Iterator[int]:
    """At all addresses of this machine, so at every ClusterIP that the API server gives; gives the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await behaviour(reader, writer)
        writer.close()

    async def until_told() -> None:
        server = await asyncio.start_server(serve, "0.0.0.0", 0, backlog=1000)
        port.append(server.sockets[0].getsockname()[1])
        ready.set()
        async with server:
            await asyncio.to_thread(done.wait)

    port: list[int] = []
    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(until_told(),))
    thread.start()
    ready.wait()
    try:
        yield port[0]
    finally:
        done.set()
        thread.join()


def flood(port: int, prefix: str, count: int) -> list[dict[str, Any]]:
    """Services that look like Prometheus, each an installation of its own."""
    made = [service("evil", f"{prefix}-{n}-prometheus", "", port) for n in range(count)]
    for one in made:
        del one["spec"]["clusterIP"]
    return made


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """With the flood in it."""
    with running_control_plane(tmp_path_factory.mktemp("plane")) as plane, contextlib.ExitStack() as stack:
        for namespace in ("own", "watched", "evil"):
            plane.kubectl("create", "namespace", namespace)
        services = [
            *flood(stack.enter_context(serving(pose)), "a-posing", POSING),
            *flood(stack.enter_context(serving(drip)), "b-dripping", DRIPPING),
        ]
        items = {"apiVersion": "v1", "kind": "List", "items": services}
        plane.kubectl("create", "-f", "-", input=json.dumps(items))
        yield plane


def instances(running: Running) -> Counter[str]:
    """How many of each namespace are in HolmesGPT's file."""
    config = running.toolsets().get("prometheus/metrics", {}).get("config", {})
    if "prometheus_url" in config:  # one alone has no name
        return Counter([config["prometheus_url"].split(".")[1]])
    return Counter(one["name"].partition("/")[0] for one in config.get("instances", []))


def test_what_others_have_is_found_at_once_and_the_flood_has_no_more_than_its_share(
    plane: ControlPlane, start: Start, prometheus: Serve, cluster_ip: Callable[[], str]
) -> None:
    home = Home(plane, "own", "watched")
    home.configure("namespaces: []")
    address = cluster_ip()
    prometheus(f"{address}:9090")
    plane.apply(service("watched", "prometheus", address))
    env = {"POD_NAMESPACE": "own", "KUBECONFIG": str(plane.kubeconfig)}

    running = start(env=env)
    until(lambda: instances(running)["watched"] == 1, "the first pass finds it", seconds=60)
    until(lambda: instances(running)["evil"] == MAX_PER_TOOLSET, "they have their share", seconds=60)
    until(lambda: running.logged("limits leave out"), "it is told")

    second = cluster_ip()
    prometheus(f"{second}:9090")
    plane.apply(service("watched", "prometheus-two", second))
    until(lambda: instances(running)["watched"] == 2, "a new one is found among them", seconds=20)

    assert instances(running) == {"watched": 2, "evil": MAX_PER_TOOLSET}
    for namespace in ("own", "watched", "evil"):
        until(lambda namespace=namespace: home.generated(namespace), "its ConfigMap is there")  # type: ignore[misc]
    assert running.status("/health") == running.status("/ready") == 200
    assert not running.logged("ERROR"), running.log.read_text()[-3000:]
    assert resident(running) < 150 * 1024**2


def resident(running: Running) -> int:
    """Bytes of memory of the process and its worker."""
    group = str(running.process.pid)
    of_it = [it for it in Path("/proc").glob("[0-9]*") if _group(it) == group]
    return sum(int(line.split()[1]) * 1024 for it in of_it for line in _status(it) if "VmRSS" in line)


def _group(process: Path) -> str:
    with contextlib.suppress(OSError):
        return (process / "stat").read_text().rpartition(")")[2].split()[2]
    return ""


def _status(process: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return (process / "status").read_text().splitlines()
    return []
