"""`dynamic-toolset diagnose` names the scenario, and what it says to type cures it.

There is no kubelet: what it would say of the pods, that they are ready, is written by the test.
"""

import json
from typing import Any

import pytest

from tests.home import CONFIG_MAP, config_map
from tests.realparts import until
from tests.runbook.site import MANIFEST, MONITORING, OWN, Site
from tests.service import command

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def diagnose(site: Site, *arguments: str, kubeconfig: str = "") -> tuple[int, dict[str, Any]]:
    done = command(
        "diagnose", "-o", "json", *arguments, env={"KUBECONFIG": kubeconfig or str(site.plane.kubeconfig)}
    )
    assert done.returncode in {0, 1}, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


def step(told: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(it for it in told["steps"] if it["step"] == name)
    return found


def kubelet_says(site: Site, status: dict[str, Any]) -> None:
    """Of the service's pods."""
    pods = ("get", "pods", "-n", OWN, "-l", "app.kubernetes.io/component=dynamic-toolsets", "-o", "name")

    patch = json.dumps({"status": {"containerStatuses": [], **status}})

    def said() -> bool:
        names = site.plane.kubectl(*pods).split()
        try:
            for name in names:
                site.plane.kubectl(
                    "patch", name, "-n", OWN, "--subresource=status", "--type=merge", "-p", patch
                )
        except RuntimeError:
            return False  # a pod that was just on its way out
        return len(names) >= 2

    until(said, "all pods have that status")


@pytest.fixture
def ill(broken: Site) -> Site:
    kubelet_says(broken, READY)
    return broken


@pytest.mark.row("Decision tree", "dynamic-toolset diagnose, of a healthy site")
def test_of_a_healthy_site_it_says_so_with_the_evidence(ill: Site) -> None:
    code, told = diagnose(ill)
    assert (code, told["scenario"]) == (0, None), told
    goods = {it["step"]: it["good"] for it in told["steps"]}
    looked = ("pod", "permissions", "configuration", "leader", "discovering", "configmaps", "data")
    assert goods == {**dict.fromkeys(looked, True), "guard": None, "holmesgpt": None}
    assert step(told, "discovering")["evidence"] == "1 Services are discovered"

    text = command("diagnose", env={"KUBECONFIG": str(ill.plane.kubeconfig)}).stdout
    assert "✓ permissions" in text
    assert "Nothing is wrong" in text


@pytest.mark.row("Decision tree", "is a pod running? no: scenario 3")
def test_a_pod_that_was_killed_for_its_memory_gets_more(ill: Site) -> None:
    killed = {"name": "dynamic-toolset", "image": "", "imageID": "", "ready": False, "restartCount": 3}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    status = {"phase": "Running", "containerStatuses": [{**killed, "state": state, "lastState": last}]}
    kubelet_says(ill, {**status, "conditions": [{"type": "Ready", "status": "False"}]})

    code, told = diagnose(ill)

    assert (code, told["scenario"]) == (1, "scenario 3")
    assert "CrashLoopBackOff, OOMKilled" in step(told, "pod")["evidence"]
    for cure in step(told, "pod")["cure"]:
        ill.bash(cure)
    assert "2Gi" in ill.bash("kubectl get deployment kubernaut-dynamic-toolsets -n kubernaut-system -o yaml")


@pytest.mark.row("Decision tree", "does it discover? no: scenario 1")
def test_rights_that_are_missing_are_named_and_the_manifest_gives_them(ill: Site) -> None:
    ill.bash("kubectl delete clusterrolebinding kubernaut-service-discovery")
    code, told = diagnose(ill)
    assert (code, told["scenario"]) == (1, "scenario 1")
    found = step(told, "permissions")
    assert "may not list services" in found["evidence"]
    ill.bash(found["cure"][0].replace("deploy/dynamic-toolset-deployment.yaml", str(MANIFEST)))
    assert step(diagnose(ill)[1], "permissions")["good"] is True


@pytest.mark.row("Decision tree", "nothing is discovered where it is looked: scenario 1")
def test_that_nothing_is_discovered_is_scenario_1(ill: Site) -> None:
    ill.configure("namespaces: [elsewhere]")
    until(lambda: ill.tools(OWN) == [], "nothing is discovered")
    code, told = diagnose(ill)
    assert (code, told["scenario"]) == (1, "scenario 1")
    assert "elsewhere" in step(told, "configuration")["evidence"]


@pytest.mark.row("Decision tree", "a configuration that is refused: scenario 3")
def test_a_configuration_that_is_refused_is_told_with_its_line(ill: Site) -> None:
    ill.configure("discovery_interval: often")
    code, told = diagnose(ill)
    assert (code, told["scenario"]) == (1, "scenario 3")
    assert "discovery_interval" in step(told, "configuration")["evidence"]


@pytest.mark.row("Decision tree", "is the ConfigMap written? no: scenario 2")
def test_a_config_map_that_is_not_ours_is_scenario_2(ill: Site) -> None:
    ill.end()
    ill.plane.kubectl("delete", "configmap", CONFIG_MAP, "-n", MONITORING)
    ill.plane.apply(config_map(MONITORING, CONFIG_MAP, {"theirs": "yes"}))
    ill.restart(wait=False)
    ill.says("was not made by this service")
    code, told = diagnose(ill)
    assert (code, told["scenario"]) == (1, "scenario 2")
    found = step(told, "configmaps")
    assert MONITORING in found["evidence"]
    ill.bash(found["cure"][-1])
    until(lambda: diagnose(ill)[0] == 0, "it is cured", seconds=90)


@pytest.mark.row("Decision tree", "is the data right? no: scenario 5")
def test_a_toolset_that_nobody_keeps_up_to_date_is_scenario_5(ill: Site) -> None:
    ill.add("prometheus-gone")
    ill.shows("prometheus", "prometheus-gone")
    ill.service.kill()
    ill.bash("kubectl delete service prometheus-gone -n monitoring")
    code, told = diagnose(ill)
    assert code == 1
    assert step(told, "data")["good"] is False
    assert "monitoring/prometheus-gone" in step(told, "data")["evidence"]
    assert step(told, "data")["scenario"] == "scenario 5"
    ill.restart()
    until(lambda: step(diagnose(ill)[1], "data")["good"], "it is cured", seconds=60)


@pytest.mark.row("Decision tree", "from inside the pod, by its own account (scripts/diagnose)")
def test_what_the_services_own_account_may_not_see_is_marked_and_the_rest_is_told(ill: Site) -> None:
    code, told = diagnose(ill, kubeconfig=ill.env()["KUBECONFIG"])
    assert code == 0, told
    assert step(told, "pod")["good"] is None
    assert "cannot list resource" in step(told, "pod")["evidence"]
    assert step(told, "permissions")["good"] is True
    assert step(told, "data")["good"] is True


def test_a_cluster_that_is_not_there_is_another_exit_code(site: Site) -> None:
    nobody = site.directory / "nobody.kubeconfig"
    config = json.loads(site.plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    nobody.write_text(json.dumps(config))
    done = command("diagnose", env={"KUBECONFIG": str(nobody)})
    assert done.returncode == 2
    assert "cannot reach the API server" in done.stderr


@pytest.mark.row("Health check", "scripts/health-check")
def test_the_health_check_says_what_it_can_see(broken: Site) -> None:
    # The API server's way to the Service ends at its endpoints, which a kubelet makes: so /health and /ready fail here.
    script = f"{MANIFEST.parents[1] / 'scripts/health-check'}"
    printed = broken.bash(script, fails=True)
    assert "4. Services discovered\n1\n" in printed
    assert "discovery completed" in printed
