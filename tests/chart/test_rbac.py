"""What the discovering account may do: what the runbook asks and no more, on a real API server."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import NAMESPACE, Helm, Rendered
from tests.home import service
from tests.realparts import ControlPlane, Serve, running_control_plane, until
from tests.service import Start

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:kubernaut-service-discovery"
ROLES = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "least privilege": {"rbac": {"leastPrivilege": True}},
    "one namespace": {"namespaces": ["monitoring"]},
    "one namespace, least privilege": {"namespaces": ["monitoring"], "rbac": {"leastPrivilege": True}},
    "sidecar": {"writer": "sidecar"},
}


def rules(rendered: Rendered) -> Iterator[Mapping[str, Any]]:
    for obj in (*rendered.all("ClusterRole"), *rendered.all("Role")):
        if obj["metadata"]["labels"]["app.kubernetes.io/component"] == "dynamic-toolsets":
            yield from obj["rules"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_there_is_no_wildcard_no_secret_and_no_other_write_than_by_name(helm: Helm, variant: str) -> None:
    for rule in rules(helm.render(VARIANTS[variant])):
        assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        assert "secrets" not in rule["resources"]
        changing = {"update", "patch", "delete"} & set(rule["verbs"])
        named = rule.get("resourceNames") or set(rule["resources"]) <= {"events", "servicepatterns/status"}
        assert named or not changing, rule
        assert {"deletecollection", "escalate", "bind", "impersonate"}.isdisjoint(rule["verbs"])


def test_with_namespaces_nothing_is_granted_cluster_wide(helm: Helm) -> None:
    rendered = helm.render({"namespaces": ["monitoring", "shop"]})
    assert not rendered.all("ClusterRole")
    assert not rendered.all("ClusterRoleBinding")
    granted = {obj["metadata"]["namespace"] for obj in rendered.all("RoleBinding")}
    assert granted == {"monitoring", "shop", NAMESPACE}


def test_with_namespaces_the_generated_config_map_may_be_written_beside_holmesgpt_too(helm: Helm) -> None:
    rendered = helm.render({"namespaces": ["shop"], "holmesgpt": {"namespace": "ai"}})
    role = next(obj for obj in rendered.all("Role") if obj["metadata"]["namespace"] == "ai")
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"configmaps"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_holmesgpts_account_and_all_others_are_given_nothing(helm: Helm, variant: str) -> None:
    rendered = helm.render({**VARIANTS[variant], "tests": {"enabled": False}})
    for binding in (*rendered.all("ClusterRoleBinding"), *rendered.all("RoleBinding")):
        subjects = [(subject["namespace"], subject["name"]) for subject in binding["subjects"]]
        assert subjects == [(NAMESPACE, "kubernaut-service-discovery")]


class Granted:
    """A control plane in which the account has the chart's rights."""

    def __init__(self, plane: ControlPlane, helm: Helm) -> None:
        self.plane, self._helm = plane, helm
        for name in (NAMESPACE, "monitoring"):
            plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def grant(self, values: Mapping[str, Any]) -> None:
        """The chart's rights with these values, and none of before."""
        kinds = "clusterroles,clusterrolebindings,roles,rolebindings"
        self.plane.kubectl("delete", kinds, "-A", "-l", "app.kubernetes.io/name=kubernaut")
        self.plane.apply(*(obj for obj in self._helm.render(values).objects if obj["kind"] in ROLES))

    def may(self, verb: str, resource: str, *options: str) -> bool:
        """``kubectl auth can-i``, as the account."""
        command = ("auth", "can-i", verb, resource, f"--as={ACCOUNT}", *options)
        try:
            answer = self.plane.kubectl(*command)
        except RuntimeError:  # it says no, and exits with 1
            return False
        return answer.strip() == "yes"


@pytest.fixture(scope="module")
def granted(tmp_path_factory: pytest.TempPathFactory, helm: Helm) -> Iterator[Granted]:
    with running_control_plane(tmp_path_factory.mktemp("rbac")) as plane:
        crd = Path(__file__).parents[2] / "helm/dynamic-toolset/crds/servicepatterns.yaml"
        plane.kubectl("apply", "-f", str(crd))
        yield Granted(plane, helm)


def test_the_runbooks_questions_are_answered_with_yes(granted: Granted) -> None:
    granted.grant({})
    for resource in ("services", "endpoints", "namespaces", "configmaps"):
        assert granted.may("list", resource), resource
    assert granted.may("create", "configmaps", "-n", "monitoring")
    for verb in ("update", "patch", "delete"):
        assert granted.may(verb, "configmaps/kubernaut-toolset-config", "-n", "monitoring")


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_may_not_read_secrets_nor_write_what_is_not_its_own(granted: Granted, variant: str) -> None:
    granted.grant(VARIANTS[variant])
    assert not granted.may("get", "secrets", "-n", NAMESPACE)
    assert not granted.may("list", "secrets", "-A")
    assert not granted.may("patch", "configmaps/somebodys", "-n", "monitoring")
    assert not granted.may("patch", "configmaps/kubernaut-toolset-overrides", "-n", NAMESPACE)
    assert not granted.may("patch", "services/prometheus", "-n", "monitoring")
    assert not granted.may("create", "pods", "-n", NAMESPACE)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "least" in name])
def test_with_least_privilege_no_other_config_map_can_be_read_or_made(granted: Granted, variant: str) -> None:
    granted.grant(VARIANTS[variant])
    for verb in ("list", "create", "get"):
        assert not granted.may(verb, "configmaps", "-n", "monitoring")
    assert granted.may("create", "configmaps/kubernaut-toolset-config", "-n", "monitoring")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_service_does_its_work_with_these_rights_and_is_never_refused(
    granted: Granted, start: Start, prometheus: Serve, cluster_ip: Callable[[], str], variant: str
) -> None:
    plane, values = granted.plane, VARIANTS[variant]
    granted.grant(values)
    plane.kubectl("delete", "configmaps", "--all", "-n", NAMESPACE)
    plane.kubectl("delete", "configmaps", "--all", "-n", "monitoring")
    config = {"service_discovery": {"namespaces": values.get("namespaces", [])}}
    if values.get("namespaces"):  # as the chart does; else the service makes its own
        data = {"config.yaml": yaml.safe_dump(config)}
        metadata = {"name": "kubernaut-dynamic-toolset-config", "namespace": NAMESPACE}
        plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    address = cluster_ip()
    prometheus(f"{address}:9090")
    plane.kubectl("delete", "services", "--all", "-n", "monitoring")
    plane.apply(service("monitoring", "prometheus", address))

    kubeconfig = plane.kubeconfig_of(NAMESPACE, "kubernaut-service-discovery")
    running = start(env={"POD_NAMESPACE": NAMESPACE, "POD_NAME": "test-0", "KUBECONFIG": str(kubeconfig)})
    running.wait_ready()

    def generated(namespace: str) -> int:
        name = (
            "get",
            "configmap",
            "kubernaut-toolset-config",
            "-n",
            namespace,
            "--ignore-not-found",
            "-o",
            "json",
        )
        data = json.loads(plane.kubectl(*name) or "{}").get("data", {})
        return len(json.loads(data.get("toolset.json", "{}")).get("tools", []))

    until(lambda: generated("monitoring") == generated(NAMESPACE) == 1, "both ConfigMaps list one service")
    assert not running.logged("forbidden"), running.log.read_text()
    assert not running.logged("403"), running.log.read_text()
