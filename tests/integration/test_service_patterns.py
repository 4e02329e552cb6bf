"""ServicePatterns on a real API server: its schema, their effect, and what their authors are told."""

import json
from collections.abc import Callable

import pytest

from tests.home import ACCOUNT, Home, service
from tests.programs import Serve
from tests.realparts import ROOT, ControlPlane, until
from tests.service import Start

CRD = ROOT / "helm/dynamic-toolset/crds/servicepatterns.yaml"


@pytest.fixture
def resource(control_plane: ControlPlane) -> None:
    control_plane.kubectl("apply", "-f", str(CRD))
    control_plane.kubectl("wait", "--for=condition=Established", f"--filename={CRD}", "--timeout=30s")


def grant(home: Home) -> None:
    group = "rbac.authorization.k8s.io"
    metadata = {"name": "patterns", "namespace": home.watched}
    rules = [
        {"apiGroups": ["kubernaut.io"], "resources": ["servicepatterns"], "verbs": ["list", "watch"]},
        {"apiGroups": ["kubernaut.io"], "resources": ["servicepatterns/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    ]
    home.plane.apply(
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "patterns"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": home.own}],
        },
    )


def pattern(home: Home, name: str, **spec: object) -> dict[str, object]:
    metadata = {"name": name, "namespace": home.watched}
    return {"apiVersion": "kubernaut.io/v1", "kind": "ServicePattern", "metadata": metadata, "spec": spec}


def test_it_changes_what_is_recognised_and_its_author_is_told(
    resource: None, home: Home, start: Start, prometheus: Serve, cluster_ip: Callable[[], str]
) -> None:
    grant(home)
    address = cluster_ip()
    prometheus(f"{address}:9090")
    home.plane.apply(
        service(home.watched, "measurements", address),
        pattern(home, "ours", type="prometheus", names=["measurements"]),
        pattern(home, "wrong", type="horn"),
    )

    running = start(env=home.env).wait_ready()

    assert "prometheus/metrics" in running.toolsets()
    accepted = "jsonpath={.status.conditions[0].status}"
    for name, status in (("ours", "True"), ("wrong", "False")):
        said = home.plane.kubectl("get", "servicepattern", name, "-n", home.watched, "-o", accepted)
        assert said == status
    events = json.loads(home.plane.kubectl("get", "events", "-n", home.watched, "-o", "json"))["items"]
    assert any(e["involvedObject"]["name"] == "wrong" and "is not known" in e["message"] for e in events)
    assert running.logged(f"ServicePattern {home.watched}/wrong is not used")


def test_what_the_schema_refuses_never_arrives(resource: None, home: Home) -> None:
    for spec in (
        {"type": "Horn"},
        {"type": "lamp", "priority": 5000},
        {"type": "lamp", "healthCheck": {"path": "x"}},
    ):
        with pytest.raises(RuntimeError, match="is invalid"):
            home.plane.apply(pattern(home, "bad", **spec))


def test_without_the_right_to_see_them_everything_else_goes_on(
    resource: None, home: Home, start: Start, prometheus: Serve, cluster_ip: Callable[[], str]
) -> None:
    address = cluster_ip()
    prometheus(f"{address}:9090")
    home.plane.apply(service(home.watched, "prometheus", address))
    running = start(env=home.env).wait_ready()
    assert "prometheus/metrics" in running.toolsets()
    told = f"servicepatterns of namespace {home.watched} cannot be seen"
    until(lambda: running.logged(told), "it is told")
