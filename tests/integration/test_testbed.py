"""The testbed itself: what the other tests build on holds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.programs import Serve
from tests.realparts import LOCAL, ControlPlane, answers, running_control_plane


def service(namespace: str, name: str, address: str, port: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": address, "ports": [{"name": "http", "port": port}], "selector": {"app": name}},
    }


def test_a_real_server_answers_at_the_cluster_ip_of_its_service(
    control_plane: ControlPlane, namespace: str, prometheus: Serve, cluster_ip: Callable[[], str]
) -> None:
    address = cluster_ip()
    control_plane.apply(service(namespace, "prometheus", address, 9090))
    assert address == control_plane.kubectl(
        "get", "service", "prometheus", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}"
    )

    server = prometheus(f"{address}:9090")

    assert "Healthy" in LOCAL.get(f"http://{address}:9090/-/healthy", timeout=5).text
    assert LOCAL.get(f"{server.url}/api/v1/status/buildinfo", timeout=5).json()["data"]["version"]


def test_a_server_stops_and_starts_again(alertmanager: Serve, cluster_ip: Callable[[], str]) -> None:
    server = alertmanager(f"{cluster_ip()}:9093")
    server.stop()
    assert not answers(f"{server.url}/-/ready")
    server.start()
    assert "config" in LOCAL.get(f"{server.url}/api/v2/status", timeout=5).json()


def test_look_alikes_answer(node_exporter: Serve, pushgateway: Serve, cluster_ip: Callable[[], str]) -> None:
    assert answers(node_exporter(f"{cluster_ip()}:9100").url + "/metrics")
    assert answers(pushgateway(f"{cluster_ip()}:9091").url + "/api/v1/status")


def test_a_service_account_may_do_what_its_rules_say(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    control_plane.kubectl("create", "role", "reader", "-n", namespace, "--verb=list", "--resource=services")
    control_plane.kubectl(
        "create",
        "rolebinding",
        "reader",
        "-n",
        namespace,
        "--role=reader",
        f"--serviceaccount={namespace}:reader",
    )
    config = control_plane.kubeconfig_of(namespace, "reader")

    control_plane.kubectl("get", "services", kubeconfig=config)
    with pytest.raises(RuntimeError, match="forbidden"):
        control_plane.kubectl("get", "configmaps", kubeconfig=config)


def test_a_control_plane_comes_back_as_it_was(tmp_path: Path) -> None:
    with running_control_plane(tmp_path / "plane") as plane:
        server = plane.server
        plane.kubectl("create", "namespace", "kept")
        plane.stop()
        plane.start()
        assert plane.server == server
        assert "kept" in plane.kubectl("get", "namespaces", "-o", "name")
