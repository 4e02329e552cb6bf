"""The chart and the manifest on a real API server: accepted, installed, upgraded, taken back, gone."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.helm import CHART, NAMESPACE, Helm, HelmError
from tests.realparts import ROOT, ControlPlane, run, running_control_plane, until

MANIFEST = ROOT / "deploy/dynamic-toolset-deployment.yaml"
OURS = "app.kubernetes.io/name=kubernaut"
KINDS = (
    "deployments,services,serviceaccounts,secrets,configmaps,roles,rolebindings,clusterroles,clusterrolebindings,"
    "networkpolicies,poddisruptionbudgets,validatingwebhookconfigurations,mutatingwebhookconfigurations,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("chart")) as plane:
        yield plane


@pytest.fixture
def helm(plane: ControlPlane, tmp_path: Path) -> Helm:
    return Helm(tmp_path, plane.kubeconfig)


def left(plane: ControlPlane) -> list[str]:
    """What is there of ours."""
    return plane.kubectl("get", KINDS, "-A", "-l", OURS, "-o", "name").split()


@pytest.mark.parametrize("values", sorted(CHART.glob("ci/*.yaml")), ids=lambda path: path.stem)
def test_the_api_server_accepts_what_each_set_of_values_renders(
    plane: ControlPlane, helm: Helm, values: Path
) -> None:
    text = helm.run("template", "ci", str(CHART), "-n", "default", "-f", str(values))
    # Without the pod of `helm test`, whose account must be there first.
    objects = [obj for obj in yaml.safe_load_all(text) if obj and obj["kind"] != "Pod"]
    if values.stem == "no-writer-values":
        assert not objects
        return
    printed = plane.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", input=yaml.safe_dump_all(objects)
    )
    assert printed.count("server dry run") == len(objects)


def test_install_upgrade_rollback_uninstall_and_nothing_is_left(plane: ControlPlane, helm: Helm) -> None:
    def replicas() -> str:
        return plane.kubectl(
            "get",
            "deployment",
            "kubernaut-dynamic-toolsets",
            "-n",
            NAMESPACE,
            "-o",
            "jsonpath={.spec.replicas}",
        )

    release = ("dynamic-toolset", str(CHART), "-n", NAMESPACE)
    notes = helm.run("install", *release, "--create-namespace")
    assert "kubectl rollout status deployment/kubernaut-dynamic-toolsets" in notes
    assert replicas() == "2"
    assert "servicepatterns.kubernaut.io" in plane.kubectl("get", "crds", "-o", "name")

    helm.run("upgrade", *release, "--set", "size=xlarge,networkPolicy.enabled=true,tuning=fast")
    assert replicas() == "3"
    assert len(left(plane)) > 8

    helm.run("rollback", "dynamic-toolset", "1", "-n", NAMESPACE)
    assert replicas() == "2"
    assert "networkpolicy" not in " ".join(left(plane))

    helm.run("uninstall", "dynamic-toolset", "-n", NAMESPACE)
    until(lambda: not left(plane), "nothing is left of the release")


def test_the_services_own_configuration_survives_uninstall_and_install(
    plane: ControlPlane, helm: Helm
) -> None:
    release = ("dynamic-toolset", str(CHART), "-n", NAMESPACE)
    helm.run("install", *release, "--create-namespace")
    name = "kubernaut-dynamic-toolset-config"
    plane.kubectl("create", "configmap", name, "-n", NAMESPACE, "--from-literal=config.yaml=operators: own")
    helm.run("upgrade", *release, "--set", "size=small")
    helm.run("uninstall", "dynamic-toolset", "-n", NAMESPACE)

    assert "operators: own" in plane.kubectl("get", "configmap", name, "-n", NAMESPACE, "-o", "yaml")

    # Helm refuses to take over what it did not make, until it is told to.
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        helm.run("install", *release, "--set", "tuning=fast")
    helm.run("install", *release, "--set", "tuning=fast", "--take-ownership")
    assert "30s" in plane.kubectl("get", "configmap", name, "-n", NAMESPACE, "-o", "yaml")
    helm.run("uninstall", "dynamic-toolset", "-n", NAMESPACE)


def test_a_second_installation_with_a_suffix_lives_beside_the_first(plane: ControlPlane, helm: Helm) -> None:
    helm.run("install", "one", str(CHART), "-n", "one", "--create-namespace")
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        helm.run("install", "two", str(CHART), "-n", "two", "--create-namespace")
    helm.run("install", "two", str(CHART), "-n", "two", "--create-namespace", "--set", "nameSuffix=two")
    for release in ("one", "two"):
        helm.run("uninstall", release, "-n", release)
    until(lambda: not left(plane), "nothing is left of either")


def test_what_is_kept_rendered_is_what_the_script_renders(tmp_path: Path) -> None:
    run([str(ROOT / "scripts/render-manifests"), str(tmp_path)], env={**os.environ, "PYTHON": sys.executable})
    rendered = [path.relative_to(tmp_path) for path in tmp_path.glob("**/*.*")]
    assert len(rendered) == 4
    for path in rendered:
        assert (ROOT / path).read_text() == (tmp_path / path).read_text(), (
            f"run scripts/render-manifests: {path}"
        )


def test_the_manifest_is_applied_by_kubectl_alone_and_again_without_a_change(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", str(MANIFEST))
    again = plane.kubectl("apply", "-f", str(MANIFEST))
    changed = {line for line in again.splitlines() if not line.endswith(" unchanged")}
    # kubectl sends a budget's selector each time (its patch strategy is to replace it), the same one.
    budgets = ("kubernaut-dynamic-toolsets", "kubernaut-toolset-webhook")
    assert changed == {f"poddisruptionbudget.policy/{name} configured" for name in budgets}
    deployment = plane.kubectl(
        "get", "deployment", "kubernaut-dynamic-toolsets", "-n", NAMESPACE, "-o", "name"
    )
    assert deployment.strip() == "deployment.apps/kubernaut-dynamic-toolsets"

    def admitted() -> bool:
        pods = plane.kubectl("get", "pods", "-n", NAMESPACE, "-l", OURS, "-o", "name").split()
        return len(pods) == 4

    until(admitted, "Pod Security lets all pods in: two of the service's, two of its guard's")
    plane.kubectl("delete", "-f", str(MANIFEST), "--wait=false")


def test_the_manifest_is_not_helms_and_holds_no_configuration_to_reset() -> None:
    objects = [obj for obj in yaml.safe_load_all(MANIFEST.read_text()) if obj]
    for obj in objects:
        labels = obj["metadata"].get("labels", {})
        assert "app.kubernetes.io/managed-by" not in labels
        assert "helm.sh/chart" not in labels
    assert not [obj for obj in objects if obj["kind"] == "ConfigMap"]
