"""What manifests say of the pods behind a Service, and what follows for its URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar import manifests
from toolset import workload
from toolset.catalogue import bundled
from toolset.classify import classify

CONFIG = {("here", "settings"): {"web.conf": "a = 1\n  b = 2  ", "KEY": "value"}}


def pods(**container: Any) -> dict[str, Any]:
    volumes = (
        [{"name": "config", "configMap": {"name": "settings"}}] if container.pop("mounted", False) else []
    )
    return {
        "kind": "Deployment",
        "metadata": {"name": "it", "namespace": "here"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "it"}},
                "spec": {"containers": [{"name": "it", **container}], "volumes": volumes},
            }
        },
    }


@pytest.mark.parametrize(
    ("container", "lines"),
    [
        ({"args": ["--web.route-prefix=/prom"]}, ["arg --web.route-prefix=/prom"]),
        ({"args": ["--rootpath", "/x", "--flag"]}, ["arg --rootpath=/x", "arg /x", "arg --flag"]),
        ({"env": [{"name": "A", "value": "1"}]}, ["env A=1"]),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "KEY"}}}]},
            ["env A=value"],
        ),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}, []),
        ({"envFrom": [{"secretRef": {"name": "s"}}]}, []),
        (
            {"readinessProbe": {"httpGet": {"path": "/ready", "port": "web", "scheme": "HTTPS"}}},
            ["probe HTTPS web /ready"],
        ),
        ({"mounted": True}, ["config web.conf: a = 1", "config web.conf: b = 2", "config KEY: value"]),
    ],
)
def test_a_workload_is_read_as_lines(container: dict[str, Any], lines: list[str]) -> None:
    assert list(workload.read(pods(**container), CONFIG).lines) == lines


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"metadata": None, "spec": None},
        {"spec": {"template": {"spec": {"containers": [None, {"args": "text", "env": {}}], "volumes": 1}}}},
    ],
)
def test_what_is_no_workload_says_nothing(broken: dict[str, Any]) -> None:
    assert workload.read(broken, CONFIG).lines == ()


def test_a_long_configuration_is_read_so_far() -> None:
    long = {("here", "settings"): {"k": "x\n" * (workload.MAX_LINES + 9)}}
    assert len(workload.read(pods(mounted=True), long).lines) == workload.MAX_LINES


def urls(tmp_path: Path, service: dict[str, Any], *beside: dict[str, Any]) -> list[str]:
    """The first endpoint of what is recognised in manifests."""
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([service, *beside]))
    read = manifests.read(str(tmp_path))
    assert not read.problems
    return [
        candidates[0].endpoints[0].url("it")
        for it in read.services
        if (candidates := classify(it, bundled()).candidates)
    ]


def service(name: str, port: int, port_name: str = "http") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "here"},
        "spec": {"selector": {"app": name}, "ports": [{"name": port_name, "port": port}]},
    }


def behind(name: str, **container: Any) -> dict[str, Any]:
    found = pods(**container)
    found["spec"]["template"]["metadata"]["labels"] = {"app": name, "pod-template-hash": "1"}
    return found


def test_a_prefix_by_argument(tmp_path: Path) -> None:
    it = behind("prometheus", args=["--web.route-prefix=/prom"])
    assert urls(tmp_path, service("prometheus", 9090), it) == ["http://it:9090/prom"]


def test_a_prefix_by_probe(tmp_path: Path) -> None:
    it = behind("prometheus", readinessProbe={"httpGet": {"path": "/p/-/ready", "port": 9090}})
    assert urls(tmp_path, service("prometheus", 9090), it) == ["http://it:9090/p"]


def test_a_prefix_in_a_url_by_environment_counts_where_it_is_served(tmp_path: Path) -> None:
    root = {"name": "GF_SERVER_ROOT_URL", "value": "https://ops.example.com/viz/"}
    served = {"name": "GF_SERVER_SERVE_FROM_SUB_PATH", "value": "true"}
    assert urls(tmp_path, service("grafana", 3000), behind("grafana", env=[root, served])) == [
        "http://it:3000/viz"
    ]
    assert urls(tmp_path, service("grafana", 3000), behind("grafana", env=[root])) == ["http://it:3000"]


def test_a_prefix_in_a_mounted_configuration(tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "here"},
        "data": {"config.yaml": "extensions:\n  jaeger_query:\n    base_path: /jaeger\n"},
    }
    it = behind("jaeger", mounted=True)
    assert urls(tmp_path, service("jaeger", 16686), it, config) == ["http://it:16686/jaeger"]


def test_tls_by_probe(tmp_path: Path) -> None:
    it = behind(
        "prometheus", readinessProbe={"httpGet": {"path": "/-/ready", "port": 9090, "scheme": "HTTPS"}}
    )
    assert urls(tmp_path, service("prometheus", 9090), it) == ["https://it:9090"]


def test_a_part_without_a_query_api_is_ruled_out_by_its_argument(tmp_path: Path) -> None:
    assert urls(tmp_path, service("prometheus", 9090), behind("prometheus", args=["--agent"])) == []


def test_pods_of_another_namespace_say_nothing(tmp_path: Path) -> None:
    it = behind("prometheus", args=["--web.route-prefix=/prom"])
    it["metadata"]["namespace"] = "there"
    assert urls(tmp_path, service("prometheus", 9090), it) == ["http://it:9090"]


@pytest.mark.parametrize("path", ["{{ env.X }}", "/../x", "//evil", "/a b"])
def test_a_prefix_that_is_none_is_passed_over(tmp_path: Path, path: str) -> None:
    it = behind("prometheus", args=[f"--web.route-prefix={path}"])
    assert urls(tmp_path, service("prometheus", 9090), it)[0] in {"http://it:9090", "http://it:9090/a"}
