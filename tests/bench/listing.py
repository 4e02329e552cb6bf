"""Seeing 10,000 Services: our raw pages beside the official client's models, each in a process of its own.

    python -m tests.bench.listing [SERVICES]

Prints seconds (wall, and CPU of the client) and resident memory (MB), before and after, for each.
"""

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kubernetes.client
import kubernetes.config

from sidecar.cluster import PAGE, Cluster
from sidecar.config import Config
from sidecar.recognised import recognise
from tests.realparts import running_control_plane
from toolset import catalogue

NAMESPACES = 50
BACKENDS = 200


def resident() -> float:
    """MB of this process, now."""
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


def raw(kubeconfig: str) -> int:
    """What the service does: lists, recognises, keeps what is recognised."""
    services = Cluster(kubeconfig).services()
    return len(recognise(services, catalogue.bundled(), Config(), "cluster.local").candidates)


def listed(kubeconfig: str) -> int:
    """Only the list, raw."""
    return sum(1 for _ in Cluster(kubeconfig).services())


def typed(kubeconfig: str) -> int:
    """The official client's models, in pages of the same size."""
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(kubeconfig))
    services, token = [], ""
    while True:
        page = api.list_service_for_all_namespaces(limit=PAGE, _continue=token or None)
        services += page.items
        token = page.metadata.var_continue or ""
        if not token:
            return len(services)


WAYS = {"typed": typed, "listed": listed, "raw": raw}


def measure(way: str, kubeconfig: str) -> dict[str, float]:
    """One way, in this process."""
    catalogue.bundled()
    before, wall, cpu = resident(), time.monotonic(), time.process_time()
    count = WAYS[way](kubeconfig)
    return {
        "count": count,
        "wall_s": round(time.monotonic() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "before_mb": round(before, 1),
        "after_mb": round(resident(), 1),
    }


def fill(kubeconfig: str, count: int) -> None:
    """Creates the Services: every fiftieth looks like a backend."""
    client = kubernetes.config.new_client_from_config(kubeconfig)
    client.configuration.connection_pool_maxsize = 8
    api = kubernetes.client.CoreV1Api(client)
    for index in range(NAMESPACES):
        api.create_namespace({"metadata": {"name": f"team-{index}"}})

    def create(index: int) -> None:
        name = f"prometheus-{index}" if index % (count // BACKENDS) == 0 else f"checkout-{index}"
        labels = {"app.kubernetes.io/name": name.rpartition("-")[0], "app.kubernetes.io/instance": name}
        spec = {"selector": labels, "ports": [{"name": "http", "port": 9090}]}
        body = {"metadata": {"name": name, "labels": {**labels, "helm.sh/chart": "shop-1.2.3"}}, "spec": spec}
        api.create_namespaced_service(f"team-{index % NAMESPACES}", body)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(create, range(count)))


def main() -> None:
    """All of it."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:4])))
        return
    count = int(sys.argv[1]) if sys.argv[1:] else 10_000
    with tempfile.TemporaryDirectory() as directory, running_control_plane(Path(directory, "plane")) as plane:
        print(f"creating {count} Services …", file=sys.stderr)
        fill(str(plane.kubeconfig), count)
        for way in WAYS:
            for _ in range(3):
                line = [sys.executable, "-m", "tests.bench.listing", "--measure", way, str(plane.kubeconfig)]
                print(
                    way,
                    subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip(),
                    flush=True,
                )


if __name__ == "__main__":
    main()
