"""`dynamic-toolset explain`: each step from what a Service says to what HolmesGPT gets."""

from collections.abc import Callable

import pytest

from tests.home import Home, service
from tests.programs import Serve
from tests.service import command


def explained(home: Home, name: str) -> str:
    done = command("explain", f"{home.watched}/{name}", env=home.env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_asked_and_what_came_is_told(
    home: Home, prometheus: Serve, cluster_ip: Callable[[], str]
) -> None:
    address = cluster_ip()
    prometheus(f"{address}:9090")
    home.plane.apply(service(home.watched, "prometheus", address))

    told = explained(home, "prometheus")

    assert "selector prometheus; port web:9090" in told
    assert f"{home.watched}/prometheus at {address}" in told
    assert "GET http://…:9090/-/healthy: status 200, text/plain" in told
    assert "verified: prometheus at http://prometheus." in told
    assert 'prometheus_url: "http://prometheus.' in told


def test_the_reason_and_what_to_look_at_is_told(home: Home, cluster_ip: Callable[[], str]) -> None:
    home.plane.apply(service(home.watched, "prometheus", cluster_ip()))
    told = explained(home, "prometheus")
    assert "left out: looks like Prometheus, but: unreachable" in told
    assert "it has no ready endpoints: see kubectl get endpointslices" in told


def test_a_service_that_is_not_there_is_an_error(home: Home) -> None:
    done = command("explain", f"{home.watched}/nobody", env=home.env)
    assert done.returncode == 1
    assert f"no Service {home.watched}/nobody" in done.stderr


@pytest.mark.parametrize("name", ["prometheus", "/prometheus", "shop/"])
def test_a_name_without_its_namespace_is_refused(name: str) -> None:
    done = command("explain", name, "--from", "examples/cluster")
    assert done.returncode == 2
    assert "expected NAMESPACE/NAME" in done.stderr


def test_a_headless_service_is_reached_at_a_pod_of_its(home: Home) -> None:
    headless = service(home.watched, "prometheus", "None", 80)
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "prometheus-1",
            "namespace": home.watched,
            "labels": {"kubernetes.io/service-name": "prometheus"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "web", "port": 19090, "protocol": "TCP"}],
    }
    home.plane.apply(headless, endpoints)
    done = command("explain", f"{home.watched}/prometheus", "--no-probe", env=home.env)
    assert f"http://prometheus.{home.watched}.svc.cluster.local:19090" in done.stdout
