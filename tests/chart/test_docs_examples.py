"""The commands and manifests of the documentation, on a real API server with the real Helm and kubectl."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.documentation import Command, blocks, commands, program
from tests.helm import CHART, NAMESPACE
from tests.holmes_chart import PARENT
from tests.home import config_map
from tests.realparts import ROOT, ControlPlane, part, running_control_plane

# What cannot be shown here, and where it is, or why it is not.
ELSEWHERE = {
    "kubectl proxy": "tests/contract/test_via.py",
    "kubectl create token": "tests/integration/test_api_access.py",
    "kubectl dynamic-toolset": "tests/integration/test_command.py",
    "kubectl label configmap": "tests/integration/test_guard_matrix.py",
    "kubectl logs": "no node runs the pods here",
    "kubectl port-forward": "no node runs the pods here",
    "helm upgrade holmesgpt": "in no registry; tests/chart/test_subchart.py wires it",
    "helm install kube-prometheus-stack": "somebody else's chart, from the internet",
}


def shown_here(name: str) -> list[Command]:
    return [it for it in commands() if program(it.line) == name and not it.line.startswith(tuple(ELSEWHERE))]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("documented")) as plane:
        yield plane


def typed(plane: ControlPlane, line: str, home: Path, cwd: Path = ROOT) -> str:
    """What a line prints in a shell, with the cluster and our parts on PATH."""
    path = f"{part('control-plane')}:{part('helm')}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "KUBECONFIG": str(plane.kubeconfig), "HOME": str(home)}
    command = ["bash", "-euo", "pipefail", "-c", line]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("it", shown_here("helm"), ids=str)
def test_helm_does_what_is_typed(plane: ControlPlane, tmp_path: Path, it: Command) -> None:
    within = CHART if " . " in it.line else ROOT
    _, verb, release, *_ = it.line.split()
    namespace = it.line.partition(" -n ")[2].split()[0]
    if verb == "upgrade":
        first = f"helm install {release} helm/dynamic-toolset -n {namespace} --create-namespace"
        typed(plane, first, tmp_path)
    else:
        plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        assert "STATUS: deployed" in typed(plane, it.line, tmp_path, within)
    finally:
        # No kubelet runs the Job that takes an injection back.
        typed(plane, f"helm uninstall {release} -n {namespace} --no-hooks", tmp_path)


@pytest.fixture
def installed(plane: ControlPlane, tmp_path: Path) -> None:
    """The manifest, and what the service and the guard make of themselves."""
    typed(plane, "kubectl apply --server-side -f deploy/dynamic-toolset-deployment.yaml", tmp_path)
    ours = {"labels": {"app.kubernetes.io/managed-by": "kubernaut-dynamic-toolsets"}}
    registration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "kubernaut-toolset-webhook"},
    }
    plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        config_map("shop", "kubernaut-toolset-config", {"services.yaml": "services: []\n"}, **ours),
        config_map(NAMESPACE, "kubernaut-toolset-config", {"services.yaml": "services: []\n"}, **ours),
        registration,
    )


@pytest.mark.parametrize("it", shown_here("kubectl"), ids=str)
def test_kubectl_does_what_is_typed(
    plane: ControlPlane, installed: None, tmp_path: Path, it: Command
) -> None:
    typed(plane, it.line, tmp_path)


def test_the_servicepattern_is_accepted(plane: ControlPlane, installed: None) -> None:
    [text] = [text for _, text in blocks("yaml") if "kind: ServicePattern" in text]
    plane.kubectl("apply", "--server-side", "-f", "-", input=text)


def test_the_values_for_holmesgpt_are_lists_of_its_chart_and_fit_together() -> None:
    [text] = [text for _, text in blocks("yaml") if text.startswith("additionalVolumes:")]
    values = yaml.safe_load(text)
    assert values.keys() <= yaml.safe_load(PARENT["values.yaml"]).keys()
    [mount] = values["additionalVolumeMounts"]
    [variable] = values["additional_env_vars"]
    assert mount["name"] == values["additionalVolumes"][0]["name"]
    assert variable["value"] == f"{mount['mountPath']}/custom_toolset.yaml"
