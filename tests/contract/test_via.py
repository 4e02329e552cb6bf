"""From a laptop: Services are found, proven and used by HolmesGPT through a real kubectl proxy alone."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.home import service
from tests.programs import Holmes, Serve
from tests.realparts import ControlPlane, part, unavailable, until
from tests.service import command

QUERY = ("execute_prometheus_instant_query", {"query": "up", "description": "is it up"})


@pytest.fixture
def pod_address() -> str:
    """An address that the API server hands requests on to: it refuses loopback (IsProxyableIP)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            unavailable("this machine has no address but loopback's")
        return str(probe.getsockname()[0])


@pytest.fixture
def proxy(control_plane: ControlPlane, tmp_path: Path) -> Iterator[str]:
    """The URL of a running `kubectl proxy`."""
    told = tmp_path / "kubectl-proxy"
    line = [
        part("control-plane") / "kubectl",
        f"--kubeconfig={control_plane.kubeconfig}",
        "proxy",
        "--port=0",
    ]
    with told.open("wb") as output, subprocess.Popen(line, stdout=output, stderr=output) as process:
        try:
            found = until(lambda: re.search(r"127\.0\.0\.1:\d+", told.read_text()), "kubectl proxy listens")
            yield f"http://{found[0]}"
        finally:
            process.send_signal(signal.SIGTERM)


def put(plane: ControlPlane, namespace: str, pod_address: str, port: int, cluster_ip: str) -> None:
    """A Service whose ClusterIP nobody reaches, and whose one pod is at ``pod_address``.

    The API server's proxy goes to pods alone. No kubelet says here that this one runs, nor does a controller
    that it stands behind the Service: the test says both.
    """
    the_service = service(namespace, "prometheus", cluster_ip)
    del the_service["spec"]["selector"]
    metadata = {"name": "prometheus-0", "namespace": namespace}
    spec = {"containers": [{"name": "prometheus", "image": "none"}]}
    target = {"kind": "Pod", **metadata}
    subset = {
        "addresses": [{"ip": pod_address, "targetRef": target}],
        "ports": [{"name": "web", "port": port}],
    }
    plane.apply(
        the_service,
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {**metadata, "name": "prometheus"},
            "subsets": [subset],
        },
    )
    status = {"phase": "Running", "podIP": pod_address, "podIPs": [{"ip": pod_address}]}
    patch = json.dumps({"status": status})
    pod = ("pod", "prometheus-0", "-n", namespace, "--subresource=status", "--type=merge")
    plane.kubectl("patch", *pod, "-p", patch)


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("prefix", ["", "/prom"])
def test_holmesgpt_queries_a_prometheus_that_only_the_api_server_reaches(
    control_plane: ControlPlane,
    namespace: str,
    proxy: str,
    pod_address: str,
    cluster_ip: Callable[[], str],
    prometheus: Serve,
    holmes: Holmes,
    tmp_path: Path,
    prefix: str,
) -> None:
    port = free_port(pod_address)
    targets = f"static_configs: [{{targets: ['{pod_address}:{port}']}}]"
    itself = f"{{job_name: self, metrics_path: {prefix}/metrics, {targets}}}"
    prometheus(
        f"{pod_address}:{port}",
        f"--web.external-url=http://laptop{prefix}/",
        config=f"global: {{scrape_interval: 1s}}\nscrape_configs: [{itself}]\n",
        ready=f"{prefix}/-/ready",
    )
    put(control_plane, namespace, pod_address, port, cluster_ip())
    config = tmp_path / "only.yaml"
    config.write_text(f"service_discovery: {{namespaces: [{namespace}]}}\n")
    look = ("discover", "--via", proxy, "--config", str(config))
    env = {"KUBECONFIG": str(control_plane.kubeconfig)}

    told = json.loads(command(*look, "-o", "json", env=env).stdout)
    assert told["services"], told
    [found] = told["services"]
    assert found["status"] == "verified"
    place = f"/api/v1/namespaces/{namespace}/services/http:prometheus:9090/proxy{prefix}"
    assert found["url"] == proxy + place

    file = tmp_path / "custom_toolset.yaml"
    file.write_text(command(*look, "-o", "holmes", env=env).stdout)

    def queried() -> bool:
        told = holmes(file, invoke=[QUERY])
        assert told["outcome"] == "loaded", told
        return f"{pod_address}:{port}" in json.dumps(told["invocations"])

    until(queried, "HolmesGPT's query returns the series of this Prometheus", seconds=90, pause=1)


def test_what_the_api_server_says_in_place_of_a_service_is_told(
    control_plane: ControlPlane,
    namespace: str,
    proxy: str,
    pod_address: str,
    cluster_ip: Callable[[], str],
    tmp_path: Path,
) -> None:
    port = free_port(pod_address)
    put(control_plane, namespace, pod_address, port, cluster_ip())
    config = tmp_path / "only.yaml"
    config.write_text(f"service_discovery: {{namespaces: [{namespace}]}}\n")
    env = {"KUBECONFIG": str(control_plane.kubeconfig)}
    done = command("discover", "--via", proxy, "-o", "json", "--config", str(config), env=env)
    told = json.loads(done.stdout)
    assert told["services"] == []
    [left_out] = told["skipped"]
    assert "unreachable" in left_out["reason"]
    assert "the API server says: " in left_out["reason"]


@pytest.mark.parametrize("wrong", ["127.0.0.1:8001", "https://127.0.0.1:8001", "http://127.0.0.1:8001/api"])
def test_what_is_no_kubectl_proxy_is_refused_with_an_example(wrong: str) -> None:
    done = command("discover", "--via", wrong)
    assert done.returncode == 2
    assert "such as http://127.0.0.1:8001" in " ".join(done.stderr.replace("│", " ").split())
