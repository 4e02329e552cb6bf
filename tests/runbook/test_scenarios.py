"""The five scenarios: each root cause is produced, its symptom shows, its remedy cures it."""

import json
import os

import pytest

from tests.home import CONFIG_MAP, config_map
from tests.realparts import until
from tests.runbook.rows import DEPLOYMENT
from tests.runbook.site import CONFIG, MANIFEST, MONITORING, NAME, OWN, Site
from tests.service import command

DISCOVERED, WRITTEN = "toolset_services_discovered_total", "toolset_configmap_updates_total"
APPLY = f"kubectl apply -f {MANIFEST}"
ANNOTATE = (
    "kubectl annotate --overwrite deployment kubernaut-dynamic-toolsets -n kubernaut-system"
    ' kubectl.kubernetes.io/restartedAt="$(date +%Y-%m-%dT%H:%M:%S%z)"'
)
GRANT = """\
kubectl patch clusterrole kubernaut-service-discovery --type='json' -p='[
  {"op": "add", "path": "/rules/-", "value": {
    "apiGroups": [""],
    "resources": ["configmaps"],
    "verbs": ["get", "list", "watch", "create", "update", "patch"]
  }}
]'"""
MORE = """\
kubectl patch deployment kubernaut-dynamic-toolsets -n kubernaut-system --type='json' -p='[
  {"op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/memory", "value": "2Gi"},
  {"op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/cpu", "value": "1000m"}
]'"""
MEMORY = """\
kubectl patch deployment kubernaut-dynamic-toolsets -n kubernaut-system --type='json' -p='[
  {"op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/memory", "value": "2Gi"}
]'"""
INTERVAL = """\
kubectl patch configmap kubernaut-dynamic-toolset-config -n kubernaut-system --type='json' -p='[
  {"op": "replace", "path": "/data/config.yaml", "value": "service_discovery:\\n  discovery_interval: \\"10m\\"\\n"}
]'"""
DELETE = "kubectl delete configmap kubernaut-toolset-config -n monitoring"
RESTART = DEPLOYMENT.format("rollout restart")


def limits(site: Site) -> dict[str, str]:
    path = "jsonpath={.spec.template.spec.containers[0].resources.limits}"
    found: dict[str, str] = json.loads(site.plane.kubectl("get", "deployment", NAME, "-n", OWN, "-o", path))
    return found


@pytest.mark.row("Scenario 1", "cause: RBAC permissions missing", "remedy: apply RBAC from the manifest")
def test_without_permissions_it_says_so_and_the_manifest_gives_them_back(broken: Site) -> None:
    broken.bash("kubectl delete clusterrolebinding kubernaut-service-discovery")
    running = broken.restart(wait=False)

    broken.says("Service discovery failed")
    broken.says('cannot list resource "services"')
    assert running.metric(f'{DISCOVERED}{{status="success"}}') == 0
    assert running.metric(f'{DISCOVERED}{{status="failed"}}') >= 1
    assert running.status("/ready") == 503
    assert broken.tools() == ["prometheus"], "what was published last stays"

    broken.bash(APPLY)
    until(lambda: running.status("/ready") == 200, "it sees again, without a restart", seconds=120)
    assert running.metric(f'{DISCOVERED}{{status="success"}}') >= 1


@pytest.mark.row(
    "Scenario 1", "cause: target namespaces not configured", "remedy: service_discovery.namespaces"
)
def test_a_namespace_that_is_not_configured_is_not_looked_into_until_it_is(broken: Site) -> None:
    broken.configure("namespaces: [elsewhere]")
    broken.says("No services discovered")
    until(lambda: not broken.generated(), "its ConfigMap is gone")
    assert json.loads(broken.generated(OWN)["data"]["toolset.json"]) == {"tools": []}

    broken.configure("namespaces: [elsewhere, monitoring]")
    broken.shows("prometheus")


@pytest.mark.row(
    "Scenario 1", "cause: Services lack required labels", "remedy: add labels to target Services"
)
def test_a_service_that_nothing_speaks_for_is_found_once_it_is_labelled(broken: Site) -> None:
    broken.add("numbers")
    broken.bash(ANNOTATE)
    broken.says("discovery completed")
    assert broken.tools() == ["prometheus"]

    broken.bash("kubectl label service numbers -n monitoring app.kubernetes.io/name=prometheus")
    broken.shows("numbers", "prometheus", seconds=10)


@pytest.mark.row("Scenario 1", "cause: health checks failing", "remedy: make the endpoint accessible")
def test_what_does_not_answer_is_left_out_with_its_reason_until_it_does(broken: Site) -> None:
    server = broken.add("prometheus-late", serve=False)
    until(lambda: broken.service.how()["counts"].get("left_out") == 1, "the status counts it")
    explained = broken.bash("dynamic-toolset explain monitoring/prometheus-late")
    assert "refused" in explained
    assert broken.tools() == ["prometheus"]

    server.start()
    broken.shows("prometheus", "prometheus-late", seconds=90)


@pytest.mark.row(
    "Scenario 1", "cause that is none any more: discovery interval too long", "quick fix: " + RESTART
)
def test_however_long_the_interval_a_service_is_seen_when_it_comes(broken: Site) -> None:
    broken.configure("discovery_interval: 24h")
    broken.says("discovery_interval")
    broken.add("prometheus-new")
    broken.shows("prometheus", "prometheus-new", seconds=10)

    broken.bash(RESTART)
    history = broken.bash(DEPLOYMENT.format("rollout history"))
    assert len([line for line in history.splitlines() if line[:1].isdigit()]) >= 2
    broken.restart()
    assert "discovered 2 services" in broken.bash(
        'kubectl logs -n kubernaut-system deployment/kubernaut-dynamic-toolsets | grep "discovered"'
    )


@pytest.mark.row("Scenario 2", "cause: missing ConfigMap write permissions", GRANT)
def test_without_the_right_to_write_it_is_told_and_counted_and_the_patch_gives_it(broken: Site) -> None:
    rules = json.loads(
        broken.plane.kubectl("get", "clusterrole", "kubernaut-service-discovery", "-o", "json")
    )["rules"]
    reading = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}
    less = [rule for rule in rules if "configmaps" not in rule["resources"]] + [reading]
    patch = json.dumps([{"op": "replace", "path": "/rules", "value": less}])
    broken.bash(f"kubectl patch clusterrole kubernaut-service-discovery --type=json -p '{patch}'")
    assert broken.bash(
        "kubectl auth can-i create configmaps -n monitoring"
        " --as=system:serviceaccount:kubernaut-system:kubernaut-service-discovery",
        fails=True,
    ).startswith("no")
    broken.bash(DELETE)

    broken.says("configmap monitoring/kubernaut-toolset-config was not written")
    assert broken.failed(WRITTEN) >= 1

    broken.bash(GRANT)
    broken.bash(ANNOTATE)
    broken.shows("prometheus", seconds=120)


@pytest.mark.row("Scenario 2", "trigger immediate reconciliation: " + ANNOTATE)
def test_the_annotation_prompts_a_pass_at_once_each_time(broken: Site) -> None:
    def passes() -> float:
        return broken.service.metric("toolset_discovery_duration_seconds_count")

    for count in ("one", "two"):
        before = passes()
        broken.bash(ANNOTATE.replace("%z", f"%z-{count}"))
        until(lambda: passes() > before, "a pass", seconds=10)  # noqa: B023 - of this turn


@pytest.mark.row("Scenario 2", "cause: namespace does not exist", "remedy: create it")
def test_a_configured_namespace_that_is_not_there_costs_nothing_and_is_used_once_it_is(broken: Site) -> None:
    broken.configure("namespaces: [monitoring, later]")
    broken.says("namespaces")
    broken.restart()
    broken.shows("prometheus")
    assert broken.service.status("/ready") == 200

    broken.bash("kubectl create namespace later")
    broken.add("prometheus-later", "later")
    until(lambda: broken.tools("later") == ["prometheus-later"], "it is discovered there")
    broken.bash("kubectl delete namespace later")
    until(lambda: "prometheus-later" not in broken.tools(OWN), "and forgotten with its namespace")


@pytest.mark.row("Scenario 2", "cause: namespace is being terminated", "remedy: let it go")
def test_a_namespace_that_goes_is_told_and_costs_no_other(broken: Site) -> None:
    broken.bash("kubectl create namespace going")
    broken.bash("kubectl create configmap stays -n going")
    broken.bash(
        """kubectl patch configmap stays -n going -p '{"metadata":{"finalizers":["example.com/stay"]}}'"""
    )
    broken.add("prometheus-going", "going", finalizers=["example.com/stay"])
    until(lambda: broken.tools("going") == ["prometheus-going"], "it is discovered there")

    broken.bash("kubectl delete namespace going --wait=false")
    broken.says("configmap going/kubernaut-toolset-config")
    broken.says("because it is being terminated", seconds=60)
    assert broken.tools() == ["prometheus"]

    broken.bash(
        "kubectl patch service/prometheus-going configmap/stays -n going --type=merge"
        """ -p '{"metadata":{"finalizers":null}}'"""
    )
    broken.bash("kubectl wait --for=delete namespace/going --timeout=60s")
    until(lambda: not broken.service.how()["failures"], "nothing fails any more", seconds=90)


@pytest.mark.row("Scenario 2", "cause: resource quota exceeded", "remedy: increase quota")
def test_a_quota_that_is_used_up_is_named_and_its_increase_cures(broken: Site) -> None:
    broken.bash("kubectl create quota few -n monitoring --hard=count/configmaps=1")
    until(
        lambda: "1" in broken.bash("kubectl get quota few -n monitoring -o jsonpath='{.status.hard}'"),
        "the quota is in force",
    )
    broken.bash("kubectl create configmap filler -n monitoring || true")
    broken.bash(DELETE)
    broken.bash("kubectl create configmap filler-two -n monitoring || true")
    broken.plane.kubectl(
        "patch", "quota", "few", "-n", MONITORING, "-p", '{"spec":{"hard":{"count/configmaps":"0"}}}'
    )
    broken.bash(f"{DELETE} --ignore-not-found")

    broken.says("exceeded quota")
    assert broken.failed(WRITTEN) >= 1
    events = "kubectl get events -n kubernaut-system --sort-by='.lastTimestamp' | grep dynamic-toolsets"
    until(lambda: "exceeded quota" in broken.bash(events), "an Event of the Deployment says so, too")
    seen = broken.bash("kubectl describe namespace monitoring | grep -iA 5 'resource quota'")
    assert "count/configmaps" in seen

    broken.plane.kubectl(
        "patch", "quota", "few", "-n", MONITORING, "-p", '{"spec":{"hard":{"count/configmaps":"9"}}}'
    )
    broken.shows("prometheus", seconds=120)


@pytest.mark.row("Scenario 2", "cause: ConfigMap name conflict", "remedy: delete it if it is orphaned")
def test_a_strangers_config_map_of_that_name_is_left_alone_until_it_is_deleted(broken: Site) -> None:
    broken.end()
    broken.bash(DELETE)
    broken.plane.apply(config_map(MONITORING, CONFIG_MAP, {"theirs": "yes"}))
    broken.restart(wait=False)

    broken.says("configmap monitoring/kubernaut-toolset-config was not made by this service")
    assert broken.failed(WRITTEN) >= 1
    assert broken.generated()["data"] == {"theirs": "yes"}

    broken.bash(DELETE)
    broken.shows("prometheus", seconds=120)


BAD = "service_discovery:\n  discovery_interval: often\n"


@pytest.mark.row("Scenario 3", "cause: invalid configuration", "remedy: fix and update the ConfigMap")
def test_a_bad_configuration_is_refused_while_it_runs_ends_it_at_start_and_is_told_with_the_cure(
    broken: Site,
) -> None:
    broken.configure("discovery_interval: often")
    broken.says("discovery_interval")
    broken.shows("prometheus")
    assert broken.service.status("/health") == 200
    until(lambda: broken.failed("toolset_config_reloads_total") == 1, "it is counted")
    seen = broken.bash(
        f"kubectl get configmap {CONFIG} -n {OWN} -o jsonpath='{{.data.config\\.yaml}}' | dynamic-toolset validate -",
        fails=True,
    )
    assert "discovery_interval" in seen
    assert "often" in seen

    running = broken.restart(wait=False)
    assert running.process.wait(timeout=30) == 78
    assert "discovery_interval" in running.log.read_text()

    broken.configure("discovery_interval: 10m")
    broken.restart()


@pytest.mark.row("Scenario 3", "cause: missing required environment variables")
def test_a_missing_variable_is_named_at_start(site: Site) -> None:
    here = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    done = command("run", env={**here, "KUBECONFIG": ""})
    assert done.returncode == os.EX_CONFIG
    assert "token" in done.stderr or "POD_NAMESPACE" in done.stderr


@pytest.mark.row("Scenario 3", "cause: Kubernetes API unreachable", "remedy: bring it back")
def test_without_the_api_what_is_published_stays_and_all_goes_on_when_it_is_back(broken: Site) -> None:
    running = broken.service
    before = running.file.read_bytes()
    broken.plane.stop("kube-apiserver")
    try:
        broken.says("cannot be seen", seconds=60)
        assert running.status("/health") == 200
        assert running.status("/ready") == 200
        assert running.file.read_bytes() == before
    finally:
        broken.plane.start()
    broken.add("prometheus-after")
    broken.shows("prometheus", "prometheus-after", seconds=120)


@pytest.mark.row("Scenario 3", MEMORY)
@pytest.mark.row("Scenario 4", MORE)
def test_the_patches_raise_the_limits(broken: Site) -> None:
    broken.bash(MEMORY)
    assert limits(broken)["memory"] == "2Gi"
    broken.bash(MORE)
    assert limits(broken) == {"memory": "2Gi", "cpu": "1"}


@pytest.mark.row("Scenario 4", "cause: discovery interval too short", INTERVAL)
def test_the_patch_of_the_interval_applies_at_once_and_replaces_the_whole_configuration(broken: Site) -> None:
    broken.configure('discovery_interval: "1s"', "namespaces: [monitoring]")
    broken.says("discovery_interval")
    broken.bash(INTERVAL)

    broken.says("the configuration says nothing of namespaces any more")
    interval = "kubectl get configmap kubernaut-dynamic-toolset-config -n kubernaut-system -o yaml"
    assert 'discovery_interval: "10m"' in broken.bash(interval)
    broken.shows("prometheus")


@pytest.mark.row("Scenario 4", "cause: too many services", "remedy: reduce namespaces")
def test_fewer_namespaces_are_fewer_services(broken: Site) -> None:
    broken.bash("kubectl create namespace many")
    for colour in ("red", "green"):
        broken.add(f"prometheus-{colour}", "many")
    until(lambda: len(broken.tools("many")) == 2, "they are discovered")
    broken.configure("namespaces: [monitoring]")
    until(lambda: broken.tools(OWN) == ["prometheus"], "only those of the configured namespace are")
    until(lambda: not broken.generated("many"), "its ConfigMap is gone")
    broken.bash("kubectl delete namespace many --wait=false")


@pytest.mark.row("Scenario 5", "cause: discovery loop not running", "quick fix: " + RESTART)
def test_a_process_that_does_not_move_fails_its_liveness_probe_and_a_restart_cures(broken: Site) -> None:
    broken.bash(f"kill -STOP -- -{broken.service.process.pid}")
    assert broken.service.status("/health") == 0
    broken.add("prometheus-missed")
    assert broken.tools() == ["prometheus"]

    broken.service.kill()
    broken.restart()
    broken.shows("prometheus", "prometheus-missed")


@pytest.mark.row("Scenario 5", "cause: Service labels changed", "remedy: update them")
def test_a_service_that_lost_its_labels_goes_and_comes_back_with_them(broken: Site) -> None:
    broken.add("numbers", labels={"app.kubernetes.io/name": "prometheus"})
    broken.shows("numbers", "prometheus")
    broken.bash("kubectl label service numbers -n monitoring app.kubernetes.io/name-")
    broken.shows("prometheus", seconds=10)
    broken.bash("kubectl label service numbers -n monitoring app.kubernetes.io/name=prometheus")
    broken.shows("numbers", "prometheus", seconds=10)


@pytest.mark.row("Scenario 5", "symptom: Services that no longer exist")
def test_a_service_that_is_deleted_is_gone_from_the_config_map(broken: Site) -> None:
    broken.add("prometheus-short")
    broken.shows("prometheus", "prometheus-short")
    broken.bash("kubectl delete service prometheus-short -n monitoring")
    broken.shows("prometheus", seconds=10)


@pytest.mark.row("Scenario 5", "cause: reconciliation disabled", "remedy: enable it")
def test_with_reconciliation_off_an_edit_stays_and_is_told_and_on_it_is_put_right(broken: Site) -> None:
    broken.configure("reconciliation: {enabled: false}")
    broken.says("reconciliation")
    broken.bash(
        'kubectl patch configmap kubernaut-toolset-config -n monitoring -p \'{"data":{"toolset.json":"{}"}}\''
    )
    broken.says("reconciliation.enabled is false")
    assert broken.generated()["data"]["toolset.json"] == "{}"

    broken.configure("reconciliation: {enabled: true}")
    broken.shows("prometheus", seconds=10)


@pytest.mark.row("Scenario 5", DELETE)
def test_a_config_map_that_is_deleted_is_made_again_at_once(broken: Site) -> None:
    before = broken.generated()["metadata"]["uid"]
    broken.bash(DELETE)
    until(
        lambda: broken.generated() and broken.generated()["metadata"]["uid"] != before,
        "a new one",
        seconds=10,
    )
    assert broken.tools() == ["prometheus"]
