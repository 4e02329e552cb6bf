"""A cluster with a real node: pods run, Services lead to them, images are those of `scripts/setup-node`."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.realparts import LOCAL, ROOT, ControlPlane, part, require, run, until

PROMETHEUS = "testbed.invalid/prometheus:1"
PATIENCE = 240
"""Seconds: a node of two cores, which other work may share."""


@dataclass(frozen=True)
class Node(ControlPlane):
    """A control plane with a node; this machine reaches its pods and Services by their addresses."""

    def __post_init__(self) -> None:
        require(part("control-plane") / "kubelet", "unset KUBEBUILDER_ASSETS and run scripts/setup-testbed")

    def _script(self, name: str, *arguments: str) -> None:
        environment = {
            **os.environ,
            "BIN": str(part("control-plane").resolve()),
            "ENGINE": str(part("node/engine").resolve()),
            "IMAGES": str(part("node/images").resolve()),
        }
        run([str(ROOT / "tests/testbed/node" / name), str(self.directory), *arguments], env=environment)

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """One object; empty where there is none."""
        text = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def pods(self, namespace: str, labels: str) -> list[dict[str, Any]]:
        """Pods that are there to stay."""
        items = json.loads(self.kubectl("get", "pods", "-n", namespace, "-l", labels, "-o", "json"))["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def namespace(self, name: str, **labels: str) -> None:
        """Makes a namespace, unless it is there."""
        meta = {"name": name, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})

    def rolled_out(self, deployment: str, namespace: str) -> None:
        """Waits until a Deployment is as it should be."""
        self.kubectl(
            "rollout", "status", f"deployment/{deployment}", "-n", namespace, f"--timeout={PATIENCE // 2}s"
        )

    def prometheus(self, name: str, namespace: str) -> str:
        """A real Prometheus in the cluster, as its users deploy it; its URL."""
        labels = {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/instance": name}
        meta = {"name": name, "namespace": namespace, "labels": labels}
        probe = {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1}
        container = {"name": "prometheus", "image": PROMETHEUS, "readinessProbe": probe}
        self.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": meta,
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta,
                "spec": {"selector": labels, "ports": [{"name": "http-web", "port": 9090}]},
            },
        )
        self.rolled_out(name, namespace)
        return f"http://{name}.{namespace}.svc.cluster.local:9090"

    def kill(self, container_id: str) -> None:
        """SIGKILL to the first process of a container, from outside, as the kernel does it."""
        (pid, *_) = until(lambda: processes(container_id), f"{container_id} runs")
        os.kill(pid, signal.SIGKILL)


def processes(container_id: str) -> list[int]:
    """The processes of a container, as this machine numbers them, the first one first."""
    told = container_id.removeprefix("containerd://")
    found = []
    for file in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if told in file.read_text():
                found.append(int(file.parent.name))
        except OSError:
            continue  # it has ended meanwhile
    return sorted(found)


def container(pod: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The status of one container of a pod, a sidecar's too; empty before there is one."""
    status = pod.get("status", {})
    all_of_it = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return next((one for one in all_of_it if one["name"] == name), {})


def ready(pod: Mapping[str, Any]) -> bool:
    """Whether a Service leads to the pod."""
    conditions: Sequence[Mapping[str, str]] = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def asked(url: str) -> Any:
    """The JSON of a GET; None where nothing answers."""
    try:
        answer = LOCAL.get(url, timeout=30)
        return answer.json() if answer.ok else None
    except (requests.RequestException, ValueError):
        return None


def shell(node: Node, line: str) -> str:
    """What a line of the runbook prints, kubectl acting as the admin."""
    path = f"{part('control-plane').resolve()}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env={**os.environ, "PATH": path, "KUBECONFIG": str(node.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def figures(text: str) -> list[int]:
    """The numbers in a text."""
    return [int(number) for number in re.findall(r"\d+", text)]
