"""The service by itself, with the chart's defaults, in real pods."""

import json
from typing import Any

import pytest

from tests.helm import CHART, NAMESPACE, Helm
from tests.node.cluster import PATIENCE, Node, asked, container, ready
from tests.node.conftest import RELEASE
from tests.realparts import until

SERVICE = "kubernaut-dynamic-toolsets"
GUARD = "kubernaut-toolset-webhook"
CONFIG_MAP = "kubernaut-toolset-config"
PODS = "app.kubernetes.io/component=dynamic-toolsets"

pytestmark = pytest.mark.usefixtures("standalone")


def address(node: Node, name: str = SERVICE) -> str:
    return str(node.get("service", name, NAMESPACE)["spec"]["clusterIP"])


def generated(node: Node, namespace: str) -> dict[str, str]:
    data: dict[str, str] = node.get("configmap", CONFIG_MAP, namespace).get("data", {})
    return data


def tools(node: Node, namespace: str = "monitoring") -> dict[str, str]:
    """The status of each Service that is written there, by name."""
    found = json.loads(generated(node, namespace).get("toolset.json", '{"tools": []}'))["tools"]
    return {tool["name"]: tool["status"] for tool in found}


def denied(node: Node, *arguments: str) -> str:
    """What a stranger is told, who may do everything that RBAC knows."""
    with pytest.raises(RuntimeError) as refused:
        node.kubectl(*arguments)
    return str(refused.value)


def test_helm_says_what_to_look_at_next(standalone: str) -> None:
    assert f"kubectl rollout status deployment/{SERVICE}" in standalone


def test_both_deployments_are_ready_in_restricted_pods(node: Node) -> None:
    """Pod Security's strictest profile lets them in, too."""
    for name in (SERVICE, GUARD):
        status = node.get("deployment", name, NAMESPACE)["status"]
        assert (status["readyReplicas"], status["updatedReplicas"]) == (2, 2)
    label = ("label", "--dry-run=server", "--overwrite", "namespace", NAMESPACE)
    printed = node.kubectl(*label, "pod-security.kubernetes.io/enforce=restricted")
    assert "Warning" not in printed
    for pod in node.pods(NAMESPACE, "app.kubernetes.io/name=kubernaut"):
        (status,) = pod["status"]["containerStatuses"]
        assert status["restartCount"] == 0, pod["metadata"]["name"]
        assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def test_a_real_prometheus_is_discovered_and_proven(node: Node) -> None:
    until(lambda: tools(node) == {"prometheus": "verified"}, "it is written", seconds=PATIENCE)
    text = generated(node, "monitoring")["custom_toolset.yaml"]
    assert 'prometheus_url: "http://prometheus.monitoring.svc.cluster.local:9090' in text


def test_its_ports_answer_through_its_service(node: Node) -> None:
    assert asked(f"http://{address(node)}:8080/health")
    assert asked(f"http://{address(node)}:8080/ready")


def test_the_webhook_registers_itself_and_a_stranger_is_denied_with_the_sentence(node: Node) -> None:
    until(
        lambda: node.get("validatingwebhookconfiguration", GUARD, "default").get("webhooks"),
        "it is registered",
        seconds=PATIENCE,
    )
    until(lambda: generated(node, "monitoring"), "there is something to guard", seconds=PATIENCE)
    message = denied(node, "label", "configmap", CONFIG_MAP, "-n", "monitoring", "team=mine")
    assert f"admin may not change monitoring/{CONFIG_MAP}: only the service writes it" in message
    assert "kubernaut-toolset-overrides in kubernaut-system, key overrides.yaml" in message


def test_the_guard_goes_on_while_its_pods_are_replaced(node: Node) -> None:
    until(lambda: generated(node, "monitoring"), "there is something to guard", seconds=PATIENCE)
    node.kubectl("rollout", "restart", f"deployment/{GUARD}", "-n", NAMESPACE)

    def all_refused_by_the_guard() -> bool:
        message = denied(node, "label", "configmap", CONFIG_MAP, "-n", "monitoring", "team=mine")
        assert "only the service writes it" in message
        status = node.get("deployment", GUARD, NAMESPACE)["status"]
        return status.get("updatedReplicas") == status.get("replicas") == status.get("readyReplicas") == 2

    until(all_refused_by_the_guard, "both pods are new", seconds=PATIENCE)


def test_helm_test_passes(cluster_helm: Helm) -> None:
    printed = cluster_helm.run("test", RELEASE, "-n", NAMESPACE, "--timeout", "4m")
    assert "Phase:          Succeeded" in printed


def test_scaled_to_nothing_and_up_and_down_again(node: Node) -> None:
    until(lambda: tools(node), "it is written", seconds=PATIENCE)
    try:
        scale(node, 0)
        assert not node.pods(NAMESPACE, PODS)
        assert tools(node), "what was written stays"
        node.prometheus("meanwhile", "monitoring")
        scale(node, 3)
        until(lambda: "meanwhile" in tools(node), "what came meanwhile is found", seconds=PATIENCE)
        scale(node, 1)
        node.kubectl("delete", "deployment,service", "meanwhile", "-n", "monitoring")
        until(lambda: "meanwhile" not in tools(node), "one replica does it", seconds=PATIENCE)
    finally:
        node.kubectl("delete", "deployment,service", "meanwhile", "-n", "monitoring", "--ignore-not-found")
        scale(node, 2)


def scale(node: Node, replicas: int) -> None:
    """Scales the service, and waits until so many pods are ready and the others are gone."""
    node.kubectl("scale", f"deployment/{SERVICE}", "-n", NAMESPACE, f"--replicas={replicas}")

    def done() -> bool:
        pods = json.loads(node.kubectl("get", "pods", "-n", NAMESPACE, "-l", PODS, "-o", "json"))["items"]
        return len(pods) == replicas and all(map(ready, pods))

    until(done, f"{replicas} pods are ready", seconds=PATIENCE)


def test_restarted_and_taken_back_without_a_gap(node: Node) -> None:
    until(lambda: tools(node), "it is written", seconds=PATIENCE)
    uid = node.get("configmap", CONFIG_MAP, "monitoring")["metadata"]["uid"]
    before = generated(node, "monitoring")
    for command in ("restart", "undo"):
        node.kubectl("rollout", command, f"deployment/{SERVICE}", "-n", NAMESPACE)

        def done() -> bool:
            assert asked(f"http://{address(node)}:8080/health"), "there is always one that answers"
            status = node.get("deployment", SERVICE, NAMESPACE)["status"]
            observed = status["observedGeneration"]
            return (
                observed == node.get("deployment", SERVICE, NAMESPACE)["metadata"]["generation"]
                and status.get("updatedReplicas")
                == status.get("replicas")
                == status.get("readyReplicas")
                == 2
            )

        until(done, f"rollout {command} is through", seconds=PATIENCE)
    assert node.get("configmap", CONFIG_MAP, "monitoring")["metadata"]["uid"] == uid
    assert generated(node, "monitoring") == before, "nobody forgot anything"


def test_a_replica_that_is_killed_comes_back_and_the_other_writes(node: Node) -> None:
    until(lambda: tools(node), "it is written", seconds=PATIENCE)

    def leading() -> list[dict[str, Any]]:
        holder = node.get("lease", "dynamic-toolset-leader", NAMESPACE)["spec"].get("holderIdentity") or ""
        return [pod for pod in node.pods(NAMESPACE, PODS) if holder.startswith(pod["metadata"]["name"])]

    # A replica that went without giving the Lease back holds it for another 15 s.
    (leader,) = until(leading, "one of the replicas leads", seconds=PATIENCE)
    node.kill(container(leader, "dynamic-toolset")["containerID"])
    node.kubectl("delete", "configmap", CONFIG_MAP, "-n", "monitoring")
    until(lambda: tools(node), "it is made again", seconds=PATIENCE)

    def back() -> bool:
        pod = node.get("pod", leader["metadata"]["name"], NAMESPACE)
        return container(pod, "dynamic-toolset")["restartCount"] == 1 and ready(pod)

    until(back, "the container is started again", seconds=PATIENCE)


def test_with_the_guard_off_drift_is_put_right_and_told(node: Node, cluster_helm: Helm) -> None:
    release = (RELEASE, str(CHART), "-n", NAMESPACE, "--wait", "--timeout", "4m")
    try:
        cluster_helm.run("upgrade", *release, "--set-string", "guard.mode=off")
        until(
            lambda: not node.get("validatingwebhookconfiguration", GUARD, "default"),
            "nobody guards",
            seconds=PATIENCE,
        )
        before = generated(node, "monitoring")
        drift = json.dumps({"data": {"custom_toolset.yaml": "toolsets: {}"}})
        node.kubectl("patch", "configmap", CONFIG_MAP, "-n", "monitoring", "--type=merge", "-p", drift)
        until(lambda: generated(node, "monitoring") == before, "it is put right", seconds=PATIENCE)
        events = ("get", "events", "-n", "monitoring", "-o", "jsonpath={.items[*].message}")
        until(lambda: "kubectl-patch" in node.kubectl(*events), "an Event says who it was", seconds=PATIENCE)
    finally:
        cluster_helm.run("upgrade", *release)
