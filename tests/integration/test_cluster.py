"""The client of the API server, against a real one."""

from pathlib import Path
from typing import Any

import pytest

import sidecar.cluster
from sidecar.cluster import Cluster
from sidecar.connection import ClusterError, ForbiddenError
from tests.realparts import ControlPlane


def services(namespace: str, count: int) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"service-{index}", "namespace": namespace},
            "spec": {"ports": [{"port": 80}]},
        }
        for index in range(count)
    ]


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(str(control_plane.kubeconfig))


def test_a_list_is_complete_over_its_pages(
    control_plane: ControlPlane, cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_plane.apply(*services(namespace, 7))
    monkeypatch.setattr(sidecar.cluster, "PAGE", 3)
    assert [service.name for service in cluster.services([namespace])] == [f"service-{i}" for i in range(7)]


def test_all_namespaces_are_listed_when_none_is_named(
    control_plane: ControlPlane, cluster: Cluster, namespace: str
) -> None:
    control_plane.apply(*services(namespace, 1))
    keys = {service.key for service in cluster.services()}
    assert {f"{namespace}/service-0", "default/kubernetes"} <= keys


def test_what_a_list_gives_carries_the_api_servers_own_facts(
    control_plane: ControlPlane, cluster: Cluster, namespace: str
) -> None:
    control_plane.apply(*services(namespace, 1))
    (service,) = cluster.services([namespace])
    assert service.uid
    assert service.cluster_ip.startswith("127.")
    assert [port.number for port in service.ports] == [80]


def test_nobody_reads_what_is_not_granted(control_plane: ControlPlane, namespace: str) -> None:
    stranger = Cluster(str(control_plane.kubeconfig_of(namespace, "default")))
    with pytest.raises(ForbiddenError, match=r"cannot list resource .services.*grant it"):
        list(stranger.services())


def test_a_config_map_is_deleted_only_as_it_was_read(
    control_plane: ControlPlane, cluster: Cluster, namespace: str
) -> None:
    metadata = {"name": "made", "namespace": namespace}
    read = cluster.apply_config_map(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}
    )
    control_plane.kubectl("label", "configmap", "made", "-n", namespace, "touched=yes")
    meta = read["metadata"]
    with pytest.raises(ClusterError):
        cluster.delete_config_map(namespace, "made", meta["uid"], meta["resourceVersion"])
    assert cluster.config_map(namespace, "made")


def test_an_api_server_that_is_not_there_is_named(tmp_path: Path, control_plane: ControlPlane) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(control_plane.kubeconfig.read_text().replace(control_plane.server, "https://127.0.0.1:9"))
    with pytest.raises(ClusterError, match=r"cannot reach the API server at https://127.0.0.1:9"):
        list(Cluster(str(file)).services())


@pytest.mark.parametrize("text", ["", "nonsense", "{}", "apiVersion: v1\nkind: Config\nclusters: 7\n"])
def test_a_kubeconfig_that_is_none_says_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(ClusterError, match="--from DIR"):
        _ = Cluster(str(file)).server


def test_a_context_that_is_not_there_is_named(control_plane: ControlPlane) -> None:
    with pytest.raises(ClusterError, match="nowhere"):
        _ = Cluster(str(control_plane.kubeconfig), "nowhere").server
