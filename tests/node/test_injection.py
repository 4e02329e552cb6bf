"""One switch, and a HolmesGPT that was there before has the sidecar; uninstalling takes it away again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helm import CHART, NAMESPACE, Helm
from tests.holmes_chart import write_parent
from tests.node.cluster import PATIENCE, Node, asked, ready
from tests.node.conftest import RELEASE
from tests.realparts import until

THEIRS = "plain"
GUARD = "kubernaut-toolset-webhook"


@pytest.fixture(scope="module")
def holmesgpt(node: Node, cluster_helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """HolmesGPT by itself, with the rights that its chart gives its account."""
    directory: Path = tmp_path_factory.mktemp("plain")
    node.namespace(THEIRS)
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "endpoints", "pods", "configmaps"], "verbs": read},
        {"apiGroups": [""], "resources": ["namespaces", "events", "nodes"], "verbs": read},
        {"apiGroups": ["apps"], "resources": ["*"], "verbs": read},
    ]
    meta = {"name": "plain-holmes-cluster-role"}
    group = "rbac.authorization.k8s.io"
    node.apply(
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", **meta},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": THEIRS}],
        },
    )
    chart = str(write_parent(directory / "holmes"))
    cluster_helm.run("install", "plain", chart, "-n", THEIRS, "--wait", "--timeout", "4m")
    yield
    cluster_helm.run("uninstall", "plain", "-n", THEIRS, "--wait")


def pod(node: Node) -> dict[str, Any]:
    """HolmesGPT's pod, once there is but one."""
    (one,) = until(
        lambda: pods if len(pods := node.pods(THEIRS, "app=holmes")) == 1 else None,
        "HolmesGPT has one pod",
        seconds=PATIENCE,
    )
    found: dict[str, Any] = one
    return found


def sidecars(node: Node) -> list[str]:
    """The init containers of HolmesGPT's pod, once it is in service."""
    one = until(lambda: found if ready(found := pod(node)) else None, "it is ready", seconds=PATIENCE)
    return [container["name"] for container in one["spec"].get("initContainers", ())]


def status(node: Node, toolset: str) -> str:
    """What HolmesGPT says of a toolset."""
    told = asked(f"http://{pod(node)['status'].get('podIP')}:5050/toolsets") or {}
    return str(told.get(toolset, {}).get("status"))


def test_one_switch_and_back(node: Node, cluster_helm: Helm, holmesgpt: None) -> None:
    """In order, since each step stands on the one before."""
    assert sidecars(node) == []
    before = pod(node)["metadata"]["name"]
    wait = ("--create-namespace", "--wait", "--timeout", "4m")
    values = {"injection": {"enabled": True, "namespaces": [THEIRS]}}
    cluster_helm.run("install", RELEASE, str(CHART), "-n", NAMESPACE, *wait, values=values)
    try:
        until(lambda: sidecars(node) == ["dynamic-toolset"], "HolmesGPT is restarted", seconds=PATIENCE)
        assert pod(node)["metadata"]["name"] != before
        until(lambda: status(node, "prometheus/metrics") == "enabled", "HolmesGPT uses it", seconds=PATIENCE)
        wired = pod(node)["metadata"]["name"]
    finally:
        cluster_helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "4m")
    until(lambda: sidecars(node) == [], "HolmesGPT is as it was", seconds=PATIENCE)
    assert pod(node)["metadata"]["name"] != wired
    left = node.kubectl(
        "get",
        "jobs,mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,serviceaccounts",
        "-A",
        "-l",
        "app.kubernetes.io/name=kubernaut",
        "-o",
        "name",
    )
    assert not left, "the Job has done its work and is gone with its rights"
