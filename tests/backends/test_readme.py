"""The README's capture: on a real API server with real backends, its command prints what it shows."""

from collections.abc import Callable
from pathlib import Path

from tests.backends.servers import running
from tests.documentation import commands
from tests.home import service
from tests.programs import Serve
from tests.realparts import running_control_plane
from tests.service import command

OPERATOR = {
    "app.kubernetes.io/name": "orders-queue",
    "app.kubernetes.io/component": "rabbitmq",
    "app.kubernetes.io/part-of": "rabbitmq",
}


def test_the_capture_is_what_is_printed(
    tmp_path: Path,
    cluster_ip: Callable[[], str],
    prometheus: Serve,
    alertmanager: Serve,
    node_exporter: Serve,
) -> None:
    [captured] = [it for it in commands() if it.page == "README.md" and it.line == "dynamic-toolset discover"]
    metrics, alerts, nodes, nobody = (cluster_ip() for _ in range(4))
    prometheus(f"{metrics}:9090")
    alertmanager(f"{alerts}:9093")
    node_exporter(f"{nodes}:9100")
    with (
        running(["rabbitmq", "loki"], cluster_ip) as servers,
        running_control_plane(tmp_path / "plane") as plane,
    ):
        for name in ("monitoring", "shop"):
            plane.kubectl("create", "namespace", name)
        plane.apply(
            service("monitoring", "prometheus", metrics),
            service("monitoring", "alertmanager", alerts, 9093),
            service("monitoring", "prometheus-node-exporter", nodes, 9100),
            service("monitoring", "loki", servers["loki"].ip, 3100),
            service("shop", "orders-queue", servers["rabbitmq"].ip, 15672, labels=OPERATOR),
            service("shop", "prometheus-old", nobody),
        )
        done = command("discover", env={"KUBECONFIG": str(plane.kubeconfig)})
    assert done.returncode == 0, done.stderr
    assert done.stdout == captured.shown
