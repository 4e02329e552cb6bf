"""What every object of the chart is, whatever the values: labelled, restricted, the same each time."""

import re
from typing import Any

import pytest
import yaml

from tests.helm import CHART, NAMESPACE, Helm, Rendered, at
from toolset import __version__

EVERYTHING = {
    "networkPolicy": {"enabled": True},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "podMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "tuning": "fast",
    "namespaces": ["shop"],
    "guard": {"mode": "both"},
    "injection": {"enabled": True},
}
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


@pytest.fixture(scope="module")
def everything(helm: Helm) -> Rendered:
    return helm.render(EVERYTHING, "--kube-version", "1.35.0")


def pods(rendered: Rendered) -> list[dict[str, Any]]:
    return [
        *(obj["spec"]["template"]["spec"] for obj in (*rendered.all("Deployment"), *rendered.all("Job"))),
        *(obj["spec"] for obj in rendered.all("Pod")),
    ]


def test_the_chart_is_of_the_version_that_it_installs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


def test_every_object_says_whose_it_is_and_where(everything: Rendered) -> None:
    for obj in everything.objects:
        labels = obj["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "kubernaut", obj
        assert labels["app.kubernetes.io/component"] in {"dynamic-toolsets", "helm-test", "toolset-webhook"}
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        namespace = obj["metadata"].get("namespace")
        assert namespace in ({None} if obj["kind"] in CLUSTER_WIDE else {NAMESPACE, "shop"}), obj


def test_names_are_the_runbooks_whatever_the_release_is_called(helm: Helm) -> None:
    assert {
        "Deployment/kubernaut-dynamic-toolsets",
        "Service/kubernaut-dynamic-toolsets",
        "ServiceAccount/kubernaut-service-discovery",
        "ClusterRole/kubernaut-service-discovery",
        "ClusterRoleBinding/kubernaut-service-discovery",
    } <= set(helm.render(release="a-very-long-name-of-a-release").names())


def test_the_runbooks_selector_finds_the_services_pods_alone(everything: Rendered) -> None:
    selected = [
        obj["kind"]
        for obj in everything.objects
        for labels in [at(obj, "spec.template.metadata.labels") or at(obj, "metadata.labels")]
        if obj["kind"] in {"Deployment", "Pod"}
        and labels["app.kubernetes.io/component"] == "dynamic-toolsets"
    ]
    assert selected == ["Deployment"]


def test_every_container_satisfies_pod_security_restricted_and_writes_nothing(everything: Rendered) -> None:
    for pod in pods(everything):
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["runAsNonRoot"] is True
            assert context["runAsUser"] == 65532
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert container["resources"]["limits"]["memory"]


def test_openshift_gives_users_and_groups_itself(helm: Helm) -> None:
    for options in (("--api-versions", "security.openshift.io/v1"),):
        for pod in pods(helm.render(None, *options)):
            context = pod["containers"][0]["securityContext"]
            assert "runAsUser" not in context
            assert "runAsGroup" not in context
            assert context["runAsNonRoot"] is True
        kept = helm.render({"adaptSecurityContext": "disabled"}, *options)
        assert pods(kept)[0]["containers"][0]["securityContext"]["runAsUser"] == 65532


def test_rendering_again_gives_the_same_bytes_so_that_argo_and_helm_diff_stay_quiet(helm: Helm) -> None:
    first, second = (helm.run("template", "x", str(CHART), values=EVERYTHING) for _ in range(2))
    assert first == second
    for template in CHART.glob("templates/**/*"):
        if template.is_file():
            changing = r"\b(rand\w+|gen(CA|Selfsigned|Signed|Private)\w*|lookup|now|uuidv4|getHostByName)\b"
            code = " ".join(re.findall(r"\{\{.*?\}\}", template.read_text(), re.DOTALL))
            assert not re.search(changing, re.sub(r'"[^"]*"|/\*.*?\*/', "", code, flags=re.DOTALL)), template


def test_lint_finds_nothing(helm: Helm) -> None:
    assert "[WARNING]" not in helm.run("lint", "--strict", str(CHART), values=EVERYTHING)


def test_network_policy_lets_nothing_reach_the_clouds_metadata(everything: Rendered) -> None:
    policy = everything.one("NetworkPolicy", "kubernaut-dynamic-toolsets")["spec"]
    for rule in policy["egress"]:
        assert rule["to"], "an empty `to` means everywhere"
        for peer in rule["to"]:
            block = peer.get("ipBlock")
            assert block is None or block["except"][0] in {"169.254.0.0/16", "fe80::/10"}
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == ["http", "metrics"]
