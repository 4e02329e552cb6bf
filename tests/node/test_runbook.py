"""The runbook's lines that take pods to answer, one test each, as an operator types them."""

import json
from collections.abc import Iterator

import pytest

from tests.helm import NAMESPACE
from tests.node.cluster import PATIENCE, Node, container, figures, ready, shell
from tests.realparts import ROOT, part, until

DEPLOYMENT = "kubernaut-dynamic-toolsets"
PODS = "app.kubernetes.io/component=dynamic-toolsets"
LOGS = f"kubectl logs -n {NAMESPACE} deployment/{DEPLOYMENT}"
GENERATED = "kubectl get configmap kubernaut-toolset-config -n monitoring -o yaml --ignore-not-found"

pytestmark = pytest.mark.usefixtures("standalone", "discovered")


@pytest.fixture(scope="module")
def discovered(node: Node, standalone: str) -> None:
    until(lambda: shell(node, GENERATED), "the ConfigMap is there", seconds=PATIENCE)


@pytest.fixture
def two_replicas(node: Node) -> Iterator[None]:
    """Whatever the test does, two are left for the next."""
    yield
    node.kubectl("scale", f"deployment/{DEPLOYMENT}", "-n", NAMESPACE, "--replicas=2")
    settled(node)


def settled(node: Node, replicas: int = 2) -> None:
    """Waits until so many pods are ready, and no other is there."""

    def done() -> bool:
        pods = json.loads(node.kubectl("get", "pods", "-n", NAMESPACE, "-l", PODS, "-o", "json"))["items"]
        return len(pods) == replicas and all(map(ready, pods))

    until(done, f"{replicas} pods are ready", seconds=PATIENCE)


def inside(node: Node, name: str, url: str) -> str:
    """What a pod in the cluster is answered: the runbook's `kubectl run`, with our image's Python as curl."""
    code = f"import urllib.request as r; print(r.urlopen('{url}', timeout=30).read().decode())"
    run = f"kubectl run {name} --rm -i --image=kubernaut/dynamic-toolset:0.1.0 --restart=Never"
    return shell(node, f'{run} --command -- python3 -c "{code}"')


def test_get_pods_shows_the_services_pods_running(node: Node) -> None:
    settled(node)
    printed = shell(node, f"kubectl get pods -n {NAMESPACE} -l {PODS}").splitlines()
    assert [line.split()[1:3] for line in printed[1:]] == [["1/1", "Running"]] * 2


@pytest.mark.parametrize(
    "words", ['grep "discovered"', 'grep -i "configmap"', 'grep "discovery completed"', "tail -n 50"]
)
def test_the_log_has_the_words_that_the_runbook_looks_for(node: Node, words: str) -> None:
    assert shell(node, f"{LOGS} | {words}")


def test_the_log_tells_how_many_were_discovered(node: Node) -> None:
    until(lambda: "discovered 1 services" in shell(node, LOGS), "it is said", seconds=PATIENCE)


def test_every_line_of_the_log_is_json(node: Node) -> None:
    lines = shell(node, f"{LOGS} --tail=100").splitlines()
    assert lines
    assert all(json.loads(line)["message"] for line in lines)


def test_describe_tells_conditions_and_probes(node: Node) -> None:
    printed = shell(node, f"kubectl describe deployment {DEPLOYMENT} -n {NAMESPACE} | grep -A 10 Conditions:")
    assert "MinimumReplicasAvailable" in printed
    assert "/ready" in shell(node, f"kubectl describe pod -n {NAMESPACE} -l {PODS}")


def test_events_of_the_service_are_listed(node: Node) -> None:
    events = f"kubectl get events -n {NAMESPACE} --sort-by='.lastTimestamp' | grep dynamic-toolsets"
    assert "Started" in shell(node, events)


def test_health_is_asked_from_a_pod_by_the_services_name(node: Node) -> None:
    url = f"http://{DEPLOYMENT}.{NAMESPACE}:8080/health"
    assert "ok" in inside(node, "debug", url).lower()


def test_metrics_are_asked_from_a_pod_by_the_services_name(node: Node) -> None:
    text = inside(node, "metrics-check", f"http://{DEPLOYMENT}.{NAMESPACE}:9090/metrics")
    for name in ("toolset_services_discovered_total", "toolset_configmap_updates_total"):
        assert f'{name}{{status="success"}}' in text


def test_jq_counts_what_was_discovered(node: Node) -> None:
    jq = part("programs/jq")
    line = "kubectl get configmap -n monitoring kubernaut-toolset-config -o jsonpath='{.data.toolset\\.json}'"
    assert shell(node, f"{line} | {jq} -r '.tools | length'").strip() == "1"
    assert shell(node, f'{GENERATED} | grep -c "endpoint:"').strip() == "1"


def test_the_managers_are_told(node: Node) -> None:
    managers = "-o jsonpath='{.metadata.managedFields[*].manager}'"
    line = f"kubectl get configmap kubernaut-toolset-config -n monitoring {managers}"
    assert shell(node, line).split() == [DEPLOYMENT]


def test_restart_status_and_log_as_the_quick_fix_says(node: Node, two_replicas: None) -> None:
    shell(node, f"kubectl rollout restart deployment/{DEPLOYMENT} -n {NAMESPACE}")
    shell(node, f"kubectl rollout status deployment/{DEPLOYMENT} -n {NAMESPACE}")
    settled(node)
    until(lambda: "discovered 1 services" in shell(node, LOGS), "the new ones discover", seconds=PATIENCE)


def test_an_annotation_of_the_deployment_triggers_a_pass(node: Node, two_replicas: None) -> None:
    settled(node)
    passes = f'{LOGS} --all-pods=true | grep -c "discovery completed"'
    before = figures(shell(node, passes))
    shell(
        node,
        f"kubectl annotate deployment {DEPLOYMENT} -n {NAMESPACE} --overwrite "
        'kubectl.kubernetes.io/restartedAt="$(date +%Y-%m-%dT%H:%M:%S%z)"',
    )
    until(lambda: figures(shell(node, passes)) > before, "there is another pass", seconds=PATIENCE)


def test_history_undo_and_undo_to_a_revision(node: Node, two_replicas: None) -> None:
    rollout = f"kubectl rollout {{}} deployment/{DEPLOYMENT} -n {NAMESPACE}"
    shell(node, rollout.format("restart"))
    shell(node, rollout.format("status"))
    *_, second, last = figures(shell(node, f"{rollout.format('history')} | grep '^[0-9]' | cut -d' ' -f1"))
    shell(node, rollout.format("undo"))
    shell(node, rollout.format("status"))
    shell(node, f"{rollout.format('undo')} --to-revision={last}")
    shell(node, rollout.format("status"))
    assert last > second
    assert shell(node, f"{LOGS} --tail=50")
    assert shell(node, GENERATED)


def test_emergency_stop_and_go(node: Node, two_replicas: None) -> None:
    scale = f"kubectl scale deployment {DEPLOYMENT} -n {NAMESPACE} --replicas="
    shell(node, f"{scale}0")
    pods = f"kubectl get pods -n {NAMESPACE} -l {PODS}"
    until(lambda: not shell(node, pods), "there is none", seconds=PATIENCE)
    assert shell(node, GENERATED), "what HolmesGPT reads stays"
    shell(node, f"{scale}2")
    settled(node)


def test_more_memory_by_the_runbooks_patch(node: Node, two_replicas: None) -> None:
    path = "/spec/template/spec/containers/0/resources/limits/memory"
    patch = json.dumps([{"op": "replace", "path": path, "value": "2Gi"}])
    shell(node, f"kubectl patch deployment {DEPLOYMENT} -n {NAMESPACE} --type='json' -p='{patch}'")
    shell(node, f"kubectl rollout status deployment/{DEPLOYMENT} -n {NAMESPACE}")
    limits = "-o jsonpath='{.spec.template.spec.containers[0].resources.limits.memory}'"
    assert shell(node, f"kubectl get deployment {DEPLOYMENT} -n {NAMESPACE} {limits}") == "2Gi"
    shell(node, f"kubectl rollout undo deployment/{DEPLOYMENT} -n {NAMESPACE}")


def test_a_deleted_config_map_is_made_again(node: Node) -> None:
    shell(node, "kubectl delete configmap kubernaut-toolset-config -n monitoring")
    until(lambda: shell(node, GENERATED), "it is there again", seconds=PATIENCE)


def test_a_configuration_that_is_patched_applies(node: Node, two_replicas: None) -> None:
    patch = [
        {
            "op": "replace",
            "path": "/data/config.yaml",
            "value": 'service_discovery:\n  discovery_interval: "10m"\n',
        }
    ]
    config = f"kubernaut-dynamic-toolset-config -n {NAMESPACE}"
    backup = shell(node, f"kubectl get configmap {config} -o yaml")
    shell(node, f"kubectl patch configmap {config} --type='json' -p='{json.dumps(patch)}'")
    shell(node, f"kubectl rollout restart deployment/{DEPLOYMENT} -n {NAMESPACE}")
    shell(node, f"kubectl rollout status deployment/{DEPLOYMENT} -n {NAMESPACE}")
    settled(node)
    read = f"kubectl get configmap {config} -o jsonpath='{{.data.config\\.yaml}}' | grep discovery_interval"
    assert "10m" in shell(node, read)
    assert "discovery_interval" in backup, "the service had written its defaults there"
    node.kubectl("replace", "--force", "-f", "-", input=backup)


def test_a_crash_leaves_its_log_and_its_reason(node: Node) -> None:
    settled(node)
    pod = node.pods(NAMESPACE, PODS)[0]
    name, before = pod["metadata"]["name"], container(pod, "dynamic-toolset")["restartCount"]
    node.kill(container(pod, "dynamic-toolset")["containerID"])

    def restarted() -> bool:
        status = container(node.get("pod", name, NAMESPACE), "dynamic-toolset")
        return int(status["restartCount"]) > before

    until(restarted, "it is started again", seconds=PATIENCE)
    assert "discovery completed" in shell(node, f"kubectl logs -n {NAMESPACE} {name} --previous")
    reason = "{.items[*].status.containerStatuses[*].lastState.terminated.reason}"
    assert "Error" in shell(node, f"kubectl get pods -n {NAMESPACE} -l {PODS} -o jsonpath='{reason}'")


def test_a_compromised_account_is_replaced_as_the_runbook_says(node: Node, two_replicas: None) -> None:
    settled(node)
    account = "kubernaut-service-discovery"
    shell(node, f"kubectl delete serviceaccount {account} -n {NAMESPACE}")
    shell(node, f"kubectl apply -f {ROOT}/deploy/dynamic-toolset-deployment.yaml")
    shell(node, f"kubectl rollout restart deployment/{DEPLOYMENT} -n {NAMESPACE}")
    shell(node, f"kubectl rollout status deployment/{DEPLOYMENT} -n {NAMESPACE}")
    settled(node)
    shell(node, "kubectl delete configmap kubernaut-toolset-config -n monitoring")
    until(lambda: shell(node, GENERATED), "the new account writes", seconds=PATIENCE)
    shell(node, f"kubectl get events --all-namespaces | grep -c {account} || true")
