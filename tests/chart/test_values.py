"""Every value of the chart has the effect that its comment promises, and there is none without one."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.helm import CHART, Helm, at, nested

POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"
DIGEST = "sha256:" + "0" * 64
SIDECAR = {"writer": "sidecar"}
GUARD = {"guard": {"mode": "webhook"}}

# value: what it is set to (and what must be set besides), then kind/name, path and what is there.
EFFECTS: dict[str, tuple[Any, Mapping[str, Any], str, str, Any]] = {
    "writer": ("sidecar", {}, "Secret", "type", "kubernetes.io/service-account-token"),
    "size": ("xlarge", {}, "Deployment", f"{CONTAINER}.resources.limits.memory", "4Gi"),
    "namespaces": (["shop"], {}, "Role/kubernaut-service-discovery", "metadata.namespace", "shop"),
    "nameSuffix": ("two", {}, "Deployment", "metadata.name", "kubernaut-dynamic-toolsets-two"),
    "holmesgpt.namespace": ("ai", {}, "Deployment", f"{CONTAINER}.env", {"HOLMESGPT_NAMESPACE": "ai"}),
    "holmesgpt.version": ("0.31.1", {}, "Deployment", f"{CONTAINER}.env", {"HOLMESGPT_VERSION": "0.31.1"}),
    "holmesgpt.url": ("http://holmes.ai", {}, "Deployment", f"{CONTAINER}.env", {"HOLMESGPT_URL": "http://holmes.ai"}),
    "image.registry": ("reg.example/", {}, "Deployment", f"{CONTAINER}.image", "reg.example/kubernaut/dynamic-toolset:0.1.0"),
    "image.repository": ("mine", {}, "Deployment", f"{CONTAINER}.image", "mine:0.1.0"),
    "image.tag": ("9", {}, "Deployment", f"{CONTAINER}.image", "kubernaut/dynamic-toolset:9"),
    "image.digest": (DIGEST, {"image": {"tag": "9"}}, "Deployment", f"{CONTAINER}.image", f"kubernaut/dynamic-toolset@{DIGEST}"),
    "image.pullPolicy": ("Always", {}, "Deployment", f"{CONTAINER}.imagePullPolicy", "Always"),
    "image.pullSecrets": (["key"], {"global": {"imagePullSecrets": [{"name": "shared"}]}}, "Deployment", f"{POD}.imagePullSecrets", [{"name": "shared"}, {"name": "key"}]),
    "log.format": ("text", {}, "Deployment", f"{CONTAINER}.env", {"LOG_FORMAT": "text"}),
    "log.level": ("debug", {}, "Deployment", f"{CONTAINER}.env", {"LOG_LEVEL": "debug"}),
    "clusterDomain": ("k8s.example", {}, "Deployment", f"{CONTAINER}.env", {"CLUSTER_DOMAIN": "k8s.example"}),
    "listenAddress": ("[::]", {}, "Deployment", f"{CONTAINER}.env", {"DYNAMIC_TOOLSET_HTTP": "[::]:8080", "DYNAMIC_TOOLSET_METRICS": "[::]:9090"}),
    "replicas": (0, {}, "Deployment", "spec.replicas", 0),
    "resources": ({"limits": {"memory": "9Gi"}}, {}, "Deployment", f"{CONTAINER}.resources", {"limits": {"memory": "9Gi"}}),
    "extraEnv": ([{"name": "A", "value": "b"}], {}, "Deployment", f"{CONTAINER}.env", {"A": "b"}),
    "podAnnotations": ({"a": "b"}, {}, "Deployment", "spec.template.metadata.annotations.a", "b"),
    "podLabels": ({"a": "b"}, {}, "Deployment", "spec.template.metadata.labels.a", "b"),
    "commonLabels": ({"a": "b"}, {}, "Service", "metadata.labels.a", "b"),
    "nodeSelector": ({"a": "b"}, {}, "Deployment", f"{POD}.nodeSelector", {"a": "b"}),
    "tolerations": ([{"operator": "Exists"}], {}, "Deployment", f"{POD}.tolerations", [{"operator": "Exists"}]),
    "affinity": ({"nodeAffinity": {}}, {}, "Deployment", f"{POD}.affinity", {"nodeAffinity": {}}),
    "topologySpreadConstraints": ([], {}, "Deployment", f"{POD}.topologySpreadConstraints", None),
    "priorityClassName": ("high", {}, "Deployment", f"{POD}.priorityClassName", "high"),
    "revisionHistoryLimit": (3, {}, "Deployment", "spec.revisionHistoryLimit", 3),
    "service.annotations": ({"a": "b"}, {}, "Service", "metadata.annotations", {"a": "b"}),
    "service.ipFamilyPolicy": ("PreferDualStack", {}, "Service", "spec.ipFamilyPolicy", "PreferDualStack"),
    "service.ipFamilies": (["IPv6"], {}, "Service", "spec.ipFamilies", ["IPv6"]),
    "podDisruptionBudget.enabled": (False, {}, "PodDisruptionBudget", "", None),
    "serviceAccount.create": (False, {"serviceAccount": {"name": "mine"}}, "ServiceAccount/mine", "", None),
    "serviceAccount.name": ("mine", {}, "Deployment", f"{POD}.serviceAccountName", "mine"),
    "serviceAccount.annotations": ({"a": "b"}, {}, "ServiceAccount", "metadata.annotations", {"a": "b"}),
    "api.access": (False, {}, "ClusterRole/kubernaut-toolset-reader", "", None),
    "rbac.create": (False, {}, "ClusterRole", "", None),
    "rbac.leastPrivilege": (True, {}, "ClusterRole/kubernaut-service-discovery", "rules.7.resourceNames", ["kubernaut-toolset-config"]),
    "guard.mode": ("policy", {}, "ValidatingAdmissionPolicy/kubernaut-toolset-guard", "spec.failurePolicy", "Fail"),
    "guard.replicas": (3, GUARD, "Deployment/kubernaut-toolset-webhook", "spec.replicas", 3),
    "guard.port": (10250, GUARD, "Deployment/kubernaut-toolset-webhook", f"{CONTAINER}.ports.0.containerPort", 10250),
    "guard.resources": ({"limits": {"memory": "9Gi"}}, GUARD, "Deployment/kubernaut-toolset-webhook", f"{CONTAINER}.resources.limits.memory", "9Gi"),
    "guard.certificate.secretName": ("mine", GUARD, "Secret/mine", "metadata.name", "mine"),
    "networkPolicy.enabled": (True, {}, "NetworkPolicy", "spec.policyTypes", ["Ingress", "Egress"]),
    "networkPolicy.backendNamespaces": (["shop"], {"networkPolicy": {"enabled": True}}, "NetworkPolicy", "spec.egress.2.to.0.namespaceSelector.matchExpressions.0.values", ["shop"]),
    "networkPolicy.apiServerCIDRs": (["10.0.0.1/32"], {"networkPolicy": {"enabled": True}}, "NetworkPolicy", "spec.egress.1.to", [{"ipBlock": {"cidr": "10.0.0.1/32"}}]),
    "networkPolicy.apiServerPorts": ([16443], {"networkPolicy": {"enabled": True}}, "NetworkPolicy", "spec.egress.1.ports", [{"port": 16443, "protocol": "TCP"}]),
    "networkPolicy.extraEgress": ([{"ports": [{"port": 53}]}], {"networkPolicy": {"enabled": True}}, "NetworkPolicy", "spec.egress.3", {"ports": [{"port": 53}]}),
    "metrics.serviceMonitor.enabled": (True, {}, "ServiceMonitor", "spec.endpoints", [{"port": "metrics"}]),
    "metrics.serviceMonitor.labels": ({"a": "b"}, {"metrics": {"serviceMonitor": {"enabled": True}}}, "ServiceMonitor", "metadata.labels.a", "b"),
    "metrics.serviceMonitor.interval": ("7s", {"metrics": {"serviceMonitor": {"enabled": True}}}, "ServiceMonitor", "spec.endpoints.0.interval", "7s"),
    "metrics.podMonitor.enabled": (True, SIDECAR, "PodMonitor", "spec.podMetricsEndpoints", [{"port": "toolset-metrics"}]),
    "metrics.podMonitor.labels": ({"a": "b"}, {**SIDECAR, "metrics": {"podMonitor": {"enabled": True}}}, "PodMonitor", "metadata.labels.a", "b"),
    "metrics.podMonitor.interval": ("7s", {**SIDECAR, "metrics": {"podMonitor": {"enabled": True}}}, "PodMonitor", "spec.podMetricsEndpoints.0.interval", "7s"),
    "metrics.podMonitor.podLabels": ({"app": "mine"}, {**SIDECAR, "metrics": {"podMonitor": {"enabled": True}}}, "PodMonitor", "spec.selector.matchLabels", {"app": "mine"}),
    "metrics.prometheusRule.enabled": (True, {}, "PrometheusRule", "spec.groups.0.name", "dynamic-toolset"),
    "metrics.prometheusRule.labels": ({"a": "b"}, {"metrics": {"prometheusRule": {"enabled": True}}}, "PrometheusRule", "metadata.labels.a", "b"),
    "metrics.prometheusRule.runbookUrl": ("https://runbook.test", {"metrics": {"prometheusRule": {"enabled": True}}}, "PrometheusRule", "spec.groups.0.rules.0.annotations.runbook_url", "https://runbook.test#scenario-1-nothing-is-discovered"),
    "metrics.dashboard.enabled": (True, {}, "ConfigMap/kubernaut-dynamic-toolsets-dashboard", "metadata.labels.grafana_dashboard", "1"),
    "metrics.dashboard.labels": ({"a": "b"}, {"metrics": {"dashboard": {"enabled": True}}}, "ConfigMap/kubernaut-dynamic-toolsets-dashboard", "metadata.labels.a", "b"),
    "adaptSecurityContext": ("force", {}, "Deployment", f"{CONTAINER}.securityContext.runAsUser", None),
    "tests.enabled": (False, {}, "Pod", "", None),
    "tests.seconds": (7, {}, "Pod", "spec.containers.0.env", {"TEST_SECONDS": "7"}),
}  # fmt: skip

ELSEWHERE = {
    "enabled": "test_subchart.py: only a parent chart reads it",
    "global": "test_image_registry_of_a_parent_wins, and image.pullSecrets above",
    "tuning": "test_config.py",
    "config": "test_config.py",
    "guard.enforce": "test_guard.py",
    "guard.protectDelete": "test_guard.py",
    "guard.serviceAccounts": "test_guard.py",
    "guard.trustedUsers": "test_guard.py",
    "guard.trustedGroups": "test_guard.py",
    "guard.failurePolicy": "test_guard.py",
    "guard.timeoutSeconds": "test_guard.py",
    "injection.enabled": "test_injection.py",
    "injection.namespaces": "test_injection.py",
    "injection.podLabels": "test_injection.py",
    "injection.container": "test_injection.py",
    "injection.restart": "test_injection.py",
    "guard.certificate.mode": "test_guard.py",
    "guard.certificate.issuerRef": "test_guard.py",
    "sidecar.ownIdentity": "test_subchart.py",
    "sidecar.resources": "test_subchart.py",
    "sidecar.httpPort": "test_subchart.py",
    "sidecar.metricsPort": "test_subchart.py",
    "sidecar.refreshSeconds": "test_subchart.py",
}


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths of the values that people set: a map that is empty, or of anything, is one value."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and path not in {*EFFECTS, *ELSEWHERE}:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(first)
    for key, value in second.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def found(helm: Helm, values: Mapping[str, Any], kind: str, path: str) -> Any:
    """Not of the guard's, unless its name is given."""
    kind, _, name = kind.partition("/")
    component = "app.kubernetes.io/component"
    objects = [
        obj
        for obj in helm.render(values).all(kind)
        if obj["metadata"]["name"] == name
        or (not name and obj["metadata"]["labels"][component] != "toolset-webhook")
    ]
    value = at(objects[0], path) if objects and path else (objects[0] if objects else None)
    if isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value):
        return {item["name"]: item.get("value") for item in value} if path.endswith(".env") else value
    return value


def test_every_value_is_in_the_table() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert sorted(leaves(values)) == sorted({*EFFECTS, *ELSEWHERE})


@pytest.mark.parametrize("value", EFFECTS)
def test_a_value_has_its_effect(helm: Helm, value: str) -> None:
    setting, besides, kind, path, expected = EFFECTS[value]

    before = found(helm, besides, kind, path)
    after = found(helm, merged(besides, nested(value, setting)), kind, path)

    assert before != after
    if isinstance(expected, dict) and path.endswith(".env"):
        assert expected.items() <= after.items()
    else:
        assert after == expected


def test_image_registry_of_a_parent_wins(helm: Helm) -> None:
    values = {
        "global": {"imageRegistry": "shared.example", "others": {"any": "thing"}},
        "image": {"registry": "x"},
    }
    images = [at(obj, f"{CONTAINER}.image") for obj in helm.render(values).all("Deployment")]
    assert images == ["shared.example/kubernaut/dynamic-toolset:0.1.0"] * 2


RUNBOOK_SIZES = {
    "small": ("100m", "250m", "256Mi", "512Mi", 1),
    "medium": ("250m", "500m", "512Mi", "1Gi", 2),
    "large": ("500m", "1000m", "1Gi", "2Gi", 2),
    "xlarge": ("1000m", "2000m", "2Gi", "4Gi", 3),
}


@pytest.mark.parametrize("size", RUNBOOK_SIZES)
def test_sizes_are_the_runbooks(helm: Helm, size: str) -> None:
    deployment = helm.render({"size": size}).one("Deployment", "kubernaut-dynamic-toolsets")
    resources = at(deployment, f"{CONTAINER}.resources")
    asked, limited = resources["requests"], resources["limits"]
    found = (asked["cpu"], limited["cpu"], asked["memory"], limited["memory"], deployment["spec"]["replicas"])
    assert found == RUNBOOK_SIZES[size]


REFUSED = {
    "an unknown key": ({"replica": 2}, "additional properties 'replica' not allowed"),
    "an unknown key further down": ({"image": {"name": "x"}}, "additional properties 'name' not allowed"),
    "a size that there is not": ({"size": "huge"}, "at '/size': value must be one of 'small', 'medium'"),
    "a writer that there is not": ({"writer": "both"}, "at '/writer'"),
    "a digest that is none": ({"image": {"digest": "latest"}}, "at '/image/digest'"),
    "a namespace that cannot be": ({"namespaces": ["Shop"]}, "at '/namespaces/0'"),
    "two places that say where to look": (
        {"namespaces": ["a"], "config": {"service_discovery": {"namespaces": ["b"]}}},
        "namespaces and config.service_discovery.namespaces are both set",
    ),
    "no account": (
        {"serviceAccount": {"create": False}},
        "serviceAccount.name must say which account to use",
    ),
    "an account's name and a suffix": ({"nameSuffix": "b", "serviceAccount": {"name": "a"}}, "not both"),
    "a monitor of what there is not": (
        {"writer": "sidecar", "metrics": {"serviceMonitor": {"enabled": True}}},
        "use metrics.podMonitor",
    ),
    "one port for two": ({"sidecar": {"httpPort": 9090}}, "are both 9090: they must differ"),
    "the clouds' metadata": (
        {"networkPolicy": {"apiServerCIDRs": ["169.254.169.254/32"]}},
        "169.254.169.254/32 is link-local",
    ),
    "a variable of the chart's own": (
        {"extraEnv": [{"name": "POD_NAME", "value": "x"}]},
        "POD_NAME is set already",
    ),
    "a variable twice": ({"extraEnv": [{"name": "A"}, {"name": "A"}]}, "A is set already"),
    "a label of the chart's own": (
        {"commonLabels": {"app.kubernetes.io/name": "x"}},
        "a label of the chart's own",
    ),
}


@pytest.mark.parametrize("nonsense", REFUSED)
def test_nonsense_is_refused_with_a_sentence(helm: Helm, nonsense: str) -> None:
    values, sentence = REFUSED[nonsense]
    assert sentence in helm.refusal(values)
