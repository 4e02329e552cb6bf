"""The node that all of these tests share, and the release of the service by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helm import CHART, NAMESPACE, Helm
from tests.node.cluster import Node
from tests.realparts import part

RELEASE = "dynamic-toolset"
TIMEOUT = 900
"""Seconds for one test: whatever pods do takes seconds, and a busy machine makes that minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    part("node/images/dynamic-toolset.tar")
    node = Node(tmp_path_factory.mktemp("node"))
    try:
        node.start()
        node.namespace("monitoring")
        node.prometheus("prometheus", "monitoring")
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def cluster_helm(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(Path(tmp_path_factory.mktemp("node-helm")), node.kubeconfig)


@pytest.fixture(scope="module")
def standalone(node: Node, cluster_helm: Helm) -> Iterator[str]:
    """The service by itself, with the chart's defaults; what Helm printed."""
    wait = ("--create-namespace", "--wait", "--timeout", "4m")
    yield cluster_helm.run("install", RELEASE, str(CHART), "-n", NAMESPACE, *wait)
    cluster_helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--wait")
    node.kubectl(
        "delete", "configmaps", "-A", "-l", "app.kubernetes.io/managed-by=kubernaut-dynamic-toolsets"
    )
