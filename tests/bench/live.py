"""The running service among 10,000 Services of a real API server; a real Prometheus is behind 200.

    python -m tests.bench.live [SERVICES]

Prints latency from a change to the file, what is asked of a quiet cluster, the length of a pass with and
without dead backends, and memory. Takes about seven minutes.
"""

import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.cluster import Cluster
from sidecar.connection import ClusterError, ConflictError
from tests.home import CONFIG_MAP
from tests.programs import PROMETHEUS_CONFIG
from tests.realparts import LOCAL, ROOT, ControlPlane, answers, part, running_control_plane
from tests.service import COMMAND, free_address

BACKENDS = 200
NAMESPACES = 250
"""More than backends: of Services whose names differ by a number, one a namespace is configured."""
CHANGES = 200
CHURN = 3600
QUIET_SECONDS = 90
OWN = "kubernaut-system"
RESTARTS = 3
AUDIT = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


def say(what: str, figure: str) -> None:
    print(f"{what:<76} {figure}", flush=True)


def wait(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Its first true answer; the pause is short, since it is part of what is measured."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.002)
    return answer


@dataclass
class Service:
    """The process that is measured, with its worker."""

    process: subprocess.Popen[bytes]
    http: str
    metrics: str
    file: Path
    log: Path

    def megabytes(self) -> str:
        """PSS and RSS of the process and its worker."""
        ask = ["pgrep", "-P", str(self.process.pid)]
        children = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.split()
        sums: Counter[str] = Counter()
        for pid in (self.process.pid, *children):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            sums.update({name: int(kb) for name, kb in re.findall(r"^(Rss|Pss): +(\d+)", text, re.MULTILINE)})
        return f"{sums['Pss'] / 1024:.0f} MB PSS, {sums['Rss'] / 1024:.0f} MB RSS"

    def passes(self) -> list[float]:
        """Seconds of each pass."""
        return [float(s) for s in re.findall(r"discovery completed in ([\d.]+) s", self.log.read_text())]

    def hosts(self) -> str:
        """All that the file says."""
        return self.file.read_text() if self.file.exists() else ""


@contextmanager
def service(directory: Path, kubeconfig: Path, namespace: str = "") -> Iterator[Service]:
    """`dynamic-toolset run`, writing a file; in a ``namespace`` of its own also the ConfigMaps."""
    http, metrics = free_address(), free_address()
    file, log = directory / "out" / "custom_toolset.yaml", directory / f"{time.monotonic_ns()}.log"
    options = [
        "--http",
        http,
        "--metrics",
        metrics,
        "--toolset-file",
        str(file),
        "--kubeconfig",
        str(kubeconfig),
    ]
    with log.open("wb") as output:
        # As in the image: glibc keeps a heap for each of many threads otherwise.
        env = {**os.environ, "MALLOC_ARENA_MAX": "2", "POD_NAMESPACE": namespace}
        process = subprocess.Popen([COMMAND, "run", *options], env=env, stdout=output, stderr=output)
    try:
        wait(lambda: answers(f"http://{http}/ready"))
        yield Service(process, http, metrics, file, log)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def prometheus(directory: Path) -> Iterator[int]:
    """A real one, at every address of loopback: the port."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = int(probe.getsockname()[1])
    config = directory / "prometheus.yaml"
    config.write_text(PROMETHEUS_CONFIG)
    options = [f"--web.listen-address=0.0.0.0:{port}", f"--config.file={config}"]
    command = [str(part("programs/prometheus")), *options, f"--storage.tsdb.path={directory / 'tsdb'}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: answers(f"http://127.0.0.1:{port}/-/ready"))
        yield port
    finally:
        process.kill()
        process.wait()


class World:
    """The cluster's Services."""

    def __init__(self, kubeconfig: Path, port: int) -> None:
        self.cluster = Cluster(str(kubeconfig))
        self.port = port
        self.made = 0

    def namespaces(self) -> None:
        for number in range(NAMESPACES):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{number}"}}
            self.cluster.json("POST", "/api/v1/namespaces", body=body)

    def grow(self, count: int) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.add, range(self.made, count)))
        self.made = count

    def add(self, number: int) -> None:
        """The first of them are backends."""
        backend = number < BACKENDS
        name = f"prometheus-{number}" if backend else f"checkout-{number}"
        port = {"name": "web", "port": self.port if backend else 8080}
        self.create(f"team-{number % NAMESPACES}", name, port)

    def create(self, namespace: str, name: str, port: dict[str, Any]) -> None:
        spec = {"ports": [port], "selector": {"app": name}}
        metadata = {"name": name, "namespace": namespace, "labels": {"app": name, "team": namespace}}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        self.cluster.json("POST", f"/api/v1/namespaces/{namespace}/services", body=body)

    def patch(self, namespace: str, name: str, changes: dict[str, Any]) -> None:
        path = f"/api/v1/namespaces/{namespace}/services/{name}"
        self.cluster.json("PATCH", path, body=changes, content_type="application/merge-patch+json")

    def delete(self, namespace: str, name: str) -> None:
        self.cluster.json("DELETE", f"/api/v1/namespaces/{namespace}/services/{name}")

    def port_of_backends(self, port: int, count: int) -> None:
        def change(number: int) -> None:
            spec = {"ports": [{"name": "web", "port": port}]}
            self.patch(f"team-{number % NAMESPACES}", f"prometheus-{number}", {"spec": spec})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(change, range(count)))


def latency(world: World, running: Service) -> None:
    """A Service comes and goes: from before the request that changes it until the file says so."""
    taken = []
    for number in range(CHANGES // 2):
        namespace = f"team-{BACKENDS + number % 50}"
        for there in (True, False):
            began = time.monotonic()
            if there:
                world.create(namespace, "prometheus", {"name": "web", "port": world.port})
            else:
                world.delete(namespace, "prometheus")
            wait(lambda at=namespace, there=there: (f"//prometheus.{at}." in running.hosts()) is there)
            taken.append(time.monotonic() - began)
            time.sleep(random.uniform(0.0, 0.1))
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
    say(f"a Service comes or goes -> file, {len(taken)} changes", f"p50 {p50:.3f} s, p99 {p99:.3f} s")
    for interval in (30, 300):
        # A poller sees a change at its next look: uniformly 0 to interval later, and no earlier than that.
        say(
            f"  a poller every {interval} s, by arithmetic (its own work not counted)",
            f"p50 {interval / 2} s, p99 {interval * 0.99:.0f} s: {interval / 2 / p50:.0f} x",
        )


def quiet(who: str, audit: Path) -> None:
    """What is asked of the API server while nothing changes; a watch is asked for anew every 240 to 300 s."""
    start = audit.stat().st_size
    time.sleep(QUIET_SECONDS)
    with audit.open() as log:
        log.seek(start)
        asked = [json.loads(line) for line in log if line.startswith("{")]
    # A watch is in the log when it begins and when it ends.
    ours = {
        it["auditID"]: f"{it['verb']} {it['objectRef'].get('resource')}"
        for it in asked
        if "OpenAPI-Generator" in it.get("userAgent", "") and "objectRef" in it
    }
    lists = sum(what.startswith("list") for what in ours.values())
    say(
        f"requests in {QUIET_SECONDS} quiet seconds, {who}", f"{dict(Counter(ours.values()))}; lists: {lists}"
    )


def settled(plane: ControlPlane) -> bool:
    """Whether each backend's namespace has its ConfigMap."""
    names = plane.kubectl(
        "get", "configmaps", "-A", "-o", "name", f"--field-selector=metadata.name={CONFIG_MAP}"
    )
    return len(names.split()) > BACKENDS


def churn(world: World, running: Service) -> None:
    before = running.megabytes()
    began = time.monotonic()

    def change(number: int) -> None:
        which = random.randrange(world.made)
        name = f"prometheus-{which}" if which < BACKENDS else f"checkout-{which}"
        world.patch(f"team-{which % NAMESPACES}", name, {"metadata": {"labels": {"turn": str(number)}}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(CHURN)))
    seconds = time.monotonic() - began
    time.sleep(5)
    say(f"memory before {CHURN} changes in {seconds:.0f} s (an hour's, at one a second)", before)
    say("  after them", running.megabytes())


def outages(plane: Any, world: World, running: Service) -> None:
    for number in range(RESTARTS):
        plane.stop()
        plane.start()
        wait(lambda number=number: created(world, number), 60)
        began = time.monotonic()
        wait(lambda number=number: f"//prometheus.team-{NAMESPACES - 1 - number}." in running.hosts())
        say(
            f"after outage {number + 1} of the API server and etcd: a new Service -> file",
            f"{time.monotonic() - began:.2f} s",
        )
    text = LOCAL.get(f"http://{running.metrics}/metrics", timeout=5).text
    restarts = re.findall(r'^toolset_watch_restarts_total\{resource="(\w+)"\} (\S+)', text, re.MULTILINE)
    say("watches opened again, all survived", str(dict(restarts)))


def created(world: World, number: int) -> bool:
    """Whether the API server is there again."""
    try:
        world.create(f"team-{NAMESPACES - 1 - number}", "prometheus", {"name": "web", "port": world.port})
    except ClusterError as error:
        return isinstance(error, ConflictError)
    return True


def one_pass(what: str, directory: Path, kubeconfig: Path, alive: int) -> None:
    (directory / "out" / "custom_toolset.yaml").unlink(missing_ok=True)
    (directory / "out" / ".custom_toolset.yaml.memory").unlink(missing_ok=True)
    began = time.monotonic()
    with service(directory, kubeconfig) as running:
        wait(lambda: running.hosts().count("prometheus_url") >= alive)
        ready = time.monotonic() - began
        wait(running.passes)
        say(
            f"the first pass, {what}",
            f"{running.passes()[0]:.2f} s; from the process's start to all in the file {ready:.2f} s",
        )


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        policy, audit = directory / "audit.yaml", directory / "audit.log"
        policy.write_text(AUDIT)
        flags = f"--audit-policy-file={policy} --audit-log-path={audit}"
        with running_control_plane(directory / "plane", flags) as plane, prometheus(directory) as port:
            world = World(plane.kubeconfig, port)
            # The chart brings it along; a cluster without it is asked for it as often as all is listed anew.
            plane.kubectl("apply", "-f", str(ROOT / "helm/dynamic-toolset/crds/servicepatterns.yaml"))
            plane.kubectl("create", "namespace", OWN)
            world.namespaces()
            with service(directory, plane.kubeconfig) as running:
                say("memory, no Services", running.megabytes())
                for size in (1000, count):
                    world.grow(size)
                    wait(lambda: running.hosts().count("prometheus_url") >= BACKENDS)
                    time.sleep(5)
                    say(f"memory, {size} Services, {BACKENDS} of them backends", running.megabytes())
                latency(world, running)
                quiet("file only", audit)
                churn(world, running)
            with service(directory, plane.kubeconfig, OWN) as running:
                wait(lambda: settled(plane))
                time.sleep(5)
                say(f"memory of a leader, {BACKENDS + 1} ConfigMaps besides", running.megabytes())
                quiet("leader", audit)
            one_pass(f"{count} Services, {BACKENDS} backends", directory, plane.kubeconfig, BACKENDS)
            with socket.create_server(("0.0.0.0", 0), backlog=1024) as silent, socket.socket() as nobody:
                nobody.bind(("0.0.0.0", 0))
                for how, dead in (("refuse", nobody), ("accept and never answer", silent)):
                    world.port_of_backends(dead.getsockname()[1], BACKENDS // 2)
                    what = f"{BACKENDS // 2} of the {BACKENDS} {how}"
                    one_pass(what, directory, plane.kubeconfig, BACKENDS // 2)
            with service(directory, plane.kubeconfig) as running:
                outages(plane, world, running)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
