"""Where the service is at home in a real cluster: its namespace, its identity, what it looks into."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.programs import Serve, Server
from tests.realparts import ControlPlane

CONFIG_MAP = "kubernaut-toolset-config"
ACCOUNT = "kubernaut-service-discovery"


def service(namespace: str, name: str, address: str, port: int = 9090, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"clusterIP": address, "ports": [{"name": "web", "port": port}], "selector": {"app": name}},
    }


def config_map(namespace: str, name: str, data: dict[str, str], **metadata: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


class Home:
    """The service's own namespace, its identity, and the one namespace that it looks into."""

    def __init__(self, plane: ControlPlane, own: str, watched: str) -> None:
        self.plane, self.own, self.watched = plane, own, watched
        self.configure(f"namespaces: [{watched}]")
        plane.kubectl("create", "serviceaccount", ACCOUNT, "-n", own)
        for namespace in (own, watched):
            rules = [
                {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]},
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
                {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
                {
                    "apiGroups": ["coordination.k8s.io"],
                    "resources": ["leases"],
                    "verbs": ["get", "create", "update"],
                },
                {
                    "apiGroups": [""],
                    "resources": ["configmaps"],
                    "verbs": ["get", "list", "watch", "create", "patch", "delete"],
                },
            ]
            metadata = {"name": ACCOUNT, "namespace": namespace}
            group = "rbac.authorization.k8s.io"
            plane.apply(
                {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "RoleBinding",
                    "metadata": metadata,
                    "roleRef": {"apiGroup": group, "kind": "Role", "name": ACCOUNT},
                    "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": own}],
                },
            )

    def configure(self, *lines: str) -> None:
        text = "service_discovery:\n" + "".join(f"  {line}\n" for line in lines)
        self.plane.apply(config_map(self.own, "kubernaut-dynamic-toolset-config", {"config.yaml": text}))

    @property
    def env(self) -> dict[str, str]:
        return {"POD_NAMESPACE": self.own, "KUBECONFIG": str(self.plane.kubeconfig_of(self.own, ACCOUNT))}

    def generated(self, namespace: str) -> dict[str, Any]:
        text = self.plane.kubectl(
            "get", "configmap", CONFIG_MAP, "-n", namespace, "--ignore-not-found", "-o", "json"
        )
        obj: dict[str, Any] = json.loads(text) if text else {}
        return obj


@pytest.fixture
def home(control_plane: ControlPlane, namespace: str) -> Iterator[Home]:
    own = f"own-{namespace}"[:60].rstrip("-")
    control_plane.kubectl("create", "namespace", own)
    yield Home(control_plane, own, namespace)
    control_plane.kubectl("delete", "namespace", own, "--wait=false")


@pytest.fixture
def one_prometheus(home: Home, prometheus: Serve, cluster_ip: Callable[[], str]) -> Server:
    """A real Prometheus behind the Service ``prometheus`` of the watched namespace."""
    address = cluster_ip()
    home.plane.apply(service(home.watched, "prometheus", address))
    return prometheus(f"{address}:9090")


@pytest.fixture
def add_prometheus(home: Home, prometheus: Serve, cluster_ip: Callable[[], str]) -> Callable[[str], None]:
    """Call it with the name of a further Service, which a real Prometheus then stands behind."""

    def add(name: str) -> None:
        address = cluster_ip()
        prometheus(f"{address}:9090")
        home.plane.apply(service(home.watched, name, address))

    return add
