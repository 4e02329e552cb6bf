"""What the discovering account may do: what the runbook asks and no more, on a real API server."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.api.access import SCOPE
from tests.helm import NAMESPACE, Helm, Rendered
from tests.home import service
from tests.programs import Serve
from tests.realparts import ControlPlane, running_control_plane, until
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


def rules(rendered: Rendered, component: str = "dynamic-toolsets") -> Iterator[Mapping[str, Any]]:
    for obj in (*rendered.all("ClusterRole"), *rendered.all("Role")):
        if obj["metadata"]["labels"]["app.kubernetes.io/component"] == component:
            yield from (rule for rule in obj["rules"] if "nonResourceURLs" not in rule)


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
    rendered = helm.render({"namespaces": ["monitoring", "shop"], "guard": {"mode": "off"}})
    assert not rendered.all("ClusterRole")
    assert not rendered.all("ClusterRoleBinding")
    granted = {obj["metadata"]["namespace"] for obj in rendered.all("RoleBinding")}
    assert granted == {"monitoring", "shop", NAMESPACE}


def test_with_namespaces_the_generated_config_map_may_be_written_beside_holmesgpt_too(helm: Helm) -> None:
    rendered = helm.render({"namespaces": ["shop"], "holmesgpt": {"namespace": "ai"}})
    role = next(obj for obj in rendered.all("Role") if obj["metadata"]["namespace"] == "ai")
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"configmaps"}


def test_readers_of_the_api_are_given_paths_of_ours_alone_and_nobody_is_one_yet(helm: Helm) -> None:
    rendered = helm.render({})
    reader = rendered.one("ClusterRole", "kubernaut-toolset-reader")
    for rule in reader["rules"]:
        assert set(rule) == {"nonResourceURLs", "verbs"}
        assert all(url.startswith(f"{SCOPE}/api/v1/") for url in rule["nonResourceURLs"])
    assert all(
        binding["roleRef"]["name"] != reader["metadata"]["name"]
        for binding in rendered.all("ClusterRoleBinding")
    )


def test_with_namespaces_who_may_use_the_api_is_asked_only_where_that_is_wanted(helm: Helm) -> None:
    rendered = helm.render({"namespaces": ["shop"], "api": {"access": True}, "guard": {"mode": "off"}})
    [binding] = rendered.all("ClusterRoleBinding")
    assert binding["roleRef"]["name"] == "system:auth-delegator"


@pytest.mark.parametrize("variant", VARIANTS)
def test_holmesgpts_account_and_all_others_are_given_nothing(helm: Helm, variant: str) -> None:
    rendered = helm.render({**VARIANTS[variant], "tests": {"enabled": False}})
    for binding in (*rendered.all("ClusterRoleBinding"), *rendered.all("RoleBinding")):
        subjects = [(subject["namespace"], subject["name"]) for subject in binding["subjects"]]
        assert set(subjects) <= {
            (NAMESPACE, "kubernaut-service-discovery"),
            (NAMESPACE, "kubernaut-toolset-webhook"),
        }


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

    def surely(self, expected: bool, verb: str, resource: str, *options: str) -> None:
        """That is so, or will be in a moment: the API server hears of changed roles by watches of its own."""
        asked = f"{verb} {resource} {' '.join(options)}"
        until(lambda: self.may(verb, resource, *options) is expected, f"may {asked}: {expected}")


@pytest.fixture(scope="module")
def granted(tmp_path_factory: pytest.TempPathFactory, helm: Helm) -> Iterator[Granted]:
    with running_control_plane(tmp_path_factory.mktemp("rbac")) as plane:
        crd = Path(__file__).parents[2] / "helm/dynamic-toolset/crds/servicepatterns.yaml"
        plane.kubectl("apply", "-f", str(crd))
        yield Granted(plane, helm)


def test_the_runbooks_questions_are_answered_with_yes(granted: Granted) -> None:
    granted.grant({})
    for resource in ("services", "endpoints", "namespaces", "configmaps"):
        granted.surely(True, "list", resource)
    granted.surely(True, "create", "configmaps", "-n", "monitoring")
    for verb in ("patch", "delete"):
        granted.surely(True, verb, "configmaps/kubernaut-toolset-config", "-n", "monitoring")


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_may_not_read_secrets_nor_write_what_is_not_its_own(granted: Granted, variant: str) -> None:
    granted.grant(VARIANTS[variant])
    granted.surely(False, "get", "secrets", "-n", NAMESPACE)
    granted.surely(False, "list", "secrets", "-A")
    granted.surely(False, "patch", "configmaps/somebodys", "-n", "monitoring")
    granted.surely(False, "patch", "configmaps/kubernaut-toolset-overrides", "-n", NAMESPACE)
    granted.surely(False, "patch", "services/prometheus", "-n", "monitoring")
    granted.surely(False, "create", "pods", "-n", NAMESPACE)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "least" in name])
def test_with_least_privilege_no_other_config_map_can_be_read_or_made(granted: Granted, variant: str) -> None:
    granted.grant(VARIANTS[variant])
    for verb in ("list", "create", "get"):
        granted.surely(False, verb, "configmaps", "-n", "monitoring")
    granted.surely(True, "create", "configmaps/kubernaut-toolset-config", "-n", "monitoring")


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_may_see_in_its_namespaces_what_discovery_looks_at(granted: Granted, variant: str) -> None:
    granted.grant(VARIANTS[variant])
    for resource in (
        "services",
        "endpointslices.discovery.k8s.io",
        "servicepatterns.kubernaut.io",
        "configmaps/kubernaut-toolset-config",
    ):
        for verb in ("list", "watch"):
            granted.surely(True, verb, resource, "-n", "monitoring")
    status = ("servicepatterns.kubernaut.io/x", "--subresource=status", "-n", "monitoring")
    granted.surely(True, "patch", *status)
    granted.surely(True, "create", "events", "-n", "monitoring")
    for verb in ("get", "update"):
        granted.surely(True, verb, "leases.coordination.k8s.io/dynamic-toolset-leader", "-n", NAMESPACE)


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

    granted.surely(True, "list", "services", "-n", "monitoring")
    granted.surely(True, "get", "configmaps/kubernaut-dynamic-toolset-config", "-n", NAMESPACE)
    granted.surely(True, "patch", "configmaps/kubernaut-toolset-config", "-n", "monitoring")
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
    # The API server's answer is quoted where it refuses something. (Not its 403: ports have such digits.)
    assert not running.logged("is forbidden"), running.log.read_text()
    assert not running.logged("ERROR"), running.log.read_text()
    assert not running.logged("WARNING"), running.log.read_text()
