"""HolmesGPT's pod with the native sidecar, as the umbrella installs it; HolmesGPT tells what it holds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helm import Helm
from tests.holmes_chart import assemble_umbrella, write_parent
from tests.node.cluster import PATIENCE, Node, asked, container, ready
from tests.realparts import until

OWN = "holmesgpt"
REFRESH = 5
BASE = "toolsets:\n  internet: {enabled: false}\n  prometheus/metrics: {enabled: true}\n"


@pytest.fixture(scope="module", autouse=True)
def installed(node: Node, cluster_helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    directory: Path = tmp_path_factory.mktemp("umbrella")
    chart = assemble_umbrella(directory / "umbrella", write_parent(directory / "holmes"))
    node.namespace(OWN)
    name = {"name": "custom-toolsets-configmap", "namespace": OWN}
    node.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"custom_toolset.yaml": BASE}}
    )
    env = [
        {"name": "CUSTOM_TOOLSET_LOCATION", "value": "/etc/holmes/discovered/custom_toolset.yaml"},
        {"name": "TOOLSET_STATUS_REFRESH_INTERVAL_SECONDS", "value": str(REFRESH)},
    ]
    values = {"holmes": {"additional_env_vars": env}}
    cluster_helm.run("install", "rel", str(chart), "-n", OWN, "--wait", "--timeout", "4m", values=values)
    yield
    cluster_helm.run("uninstall", "rel", "-n", OWN, "--wait")
    node.kubectl(
        "delete", "configmaps", "-A", "-l", "app.kubernetes.io/managed-by=kubernaut-dynamic-toolsets"
    )


def pod(node: Node) -> dict[str, Any]:
    (found,) = until(lambda: node.pods(OWN, "app=holmes"), "HolmesGPT's pod is there", seconds=PATIENCE)
    one: dict[str, Any] = found
    return one


def toolsets(node: Node) -> dict[str, dict[str, str]]:
    """What HolmesGPT's server tells; empty while it does not."""
    answer: dict[str, dict[str, str]] = asked(f"http://{pod(node)['status'].get('podIP')}:5050/toolsets")
    return answer or {}


def restarts(node: Node) -> tuple[int, int]:
    """Of the sidecar, and of HolmesGPT."""
    one = pod(node)
    return tuple(container(one, name).get("restartCount", -1) for name in ("dynamic-toolset", "holmes"))  # type: ignore[return-value]


def knows(node: Node, *names: str) -> bool:
    """Whether HolmesGPT's Prometheus toolset is enabled, and asks exactly these servers."""
    entry = toolsets(node).get("prometheus/metrics", {"status": "", "config": ""})
    urls = [f"http://{name}.monitoring.svc.cluster.local:9090" for name in names]
    return (
        entry["status"] == "enabled"
        and all(url in entry["config"] for url in urls)
        and entry["config"].count("http://") == len(urls)
    )


def test_the_file_is_there_before_holmesgpt_starts(node: Node) -> None:
    log = node.kubectl("logs", "-n", OWN, pod(node)["metadata"]["name"], "-c", "holmes")
    assert "HolmesGPT starts; /etc/holmes/discovered/custom_toolset.yaml exists: True" in log


def test_holmesgpt_reports_the_toolset_enabled_and_what_its_base_says(node: Node) -> None:
    until(lambda: knows(node, "prometheus"), "HolmesGPT uses it", seconds=PATIENCE)
    assert toolsets(node)["internet"]["status"] == "disabled", "people win"


def test_the_sidecar_writes_config_maps_by_an_identity_of_its_own(node: Node) -> None:
    until(
        lambda: node.get("configmap", "kubernaut-toolset-config", "monitoring"),
        "it is written",
        seconds=PATIENCE,
    )
    account = pod(node)["spec"].get("serviceAccountName")
    assert account != "kubernaut-service-discovery"


def test_a_new_prometheus_appears_in_holmesgpt_and_goes_again(node: Node) -> None:
    node.prometheus("second", "monitoring")
    try:
        until(lambda: knows(node, "prometheus", "second"), "HolmesGPT knows it", seconds=PATIENCE)
    finally:
        node.kubectl("delete", "deployment,service", "second", "-n", "monitoring")
    until(lambda: knows(node, "prometheus"), "HolmesGPT has forgotten it", seconds=PATIENCE)
    assert restarts(node)[1] == 0, "HolmesGPT was not restarted for it"


def test_a_sidecar_that_is_killed_comes_back_and_holmesgpt_stays(node: Node) -> None:
    until(lambda: knows(node, "prometheus"), "HolmesGPT uses it", seconds=PATIENCE)
    name, before = pod(node)["metadata"]["name"], restarts(node)
    node.kill(container(pod(node), "dynamic-toolset")["containerID"])
    until(lambda: restarts(node)[0] == before[0] + 1, "the sidecar is started again", seconds=PATIENCE)
    until(lambda: ready(pod(node)), "the pod is in service again", seconds=PATIENCE)
    assert (pod(node)["metadata"]["name"], restarts(node)[1]) == (name, before[1])
    told = toolsets(node)
    assert knows(node, "prometheus"), told.get("prometheus/metrics", "HolmesGPT does not answer")


def test_holmesgpt_that_is_killed_finds_its_file_again(node: Node) -> None:
    until(lambda: knows(node, "prometheus"), "HolmesGPT uses it", seconds=PATIENCE)
    before = restarts(node)
    node.kill(container(pod(node), "holmes")["containerID"])
    until(lambda: restarts(node)[1] == before[1] + 1, "it is started again", seconds=PATIENCE)
    until(lambda: knows(node, "prometheus"), "HolmesGPT uses it again", seconds=PATIENCE)
    assert restarts(node)[0] == before[0], "the sidecar went on"


def test_the_sidecar_ends_after_holmesgpt_in_time_and_a_new_pod_is_wired_the_same(node: Node) -> None:
    until(lambda: ready(pod(node)), "it is in service", seconds=PATIENCE)
    old = pod(node)["metadata"]["name"]

    def finalizers(*names: str) -> None:
        patch = json.dumps({"metadata": {"finalizers": names}})
        node.kubectl("patch", "pod", old, "-n", OWN, "--type=merge", "-p", patch)

    def ends() -> dict[str, str]:
        one = node.get("pod", old, OWN)
        states = {name: container(one, name)["state"] for name in ("holmes", "dynamic-toolset")}
        return {
            name: state["terminated"]["finishedAt"] for name, state in states.items() if "terminated" in state
        }

    finalizers("tests.invalid/let-me-see-how-it-ends")
    try:
        node.kubectl("delete", "pod", old, "-n", OWN, "--wait=false")
        until(lambda: len(ends()) == 2, "both have ended", seconds=PATIENCE)
        finished = ends()
        assert finished["dynamic-toolset"] >= finished["holmes"]
        sidecar = container(node.get("pod", old, OWN), "dynamic-toolset")["state"]["terminated"]
        assert sidecar["exitCode"] == 0, "it was asked to end, and did before it was killed"
    finally:
        finalizers()
    until(lambda: pod(node)["metadata"]["name"] != old, "there is another", seconds=PATIENCE)
    until(lambda: knows(node, "prometheus"), "HolmesGPT uses it", seconds=PATIENCE)
