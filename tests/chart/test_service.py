"""The service at work with exactly the account and the rights that the chart gives it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helm import CHART, Helm
from tests.home import ACCOUNT, CONFIG_MAP, service
from tests.programs import Serve
from tests.realparts import ControlPlane, running_control_plane, until
from tests.service import Start

NAME = "kubernaut-dynamic-toolsets"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("service")) as plane:
        yield plane


@pytest.mark.parametrize(
    ("release", "settings"),
    [
        ("by-default", ""),
        ("least-privilege", "rbac.leastPrivilege=true"),
        ("few-namespaces", "namespaces={few-namespaces-shop}"),
        ("both", "rbac.leastPrivilege=true,namespaces={both-shop}"),
    ],
)
def test_it_finds_writes_repairs_and_hears_and_is_refused_nothing(
    plane: ControlPlane,
    tmp_path: Path,
    start: Start,
    prometheus: Serve,
    cluster_ip: Callable[[], str],
    release: str,
    settings: str,
) -> None:
    helm = Helm(tmp_path, plane.kubeconfig)
    shop = f"{release}-shop"
    plane.kubectl("create", "namespace", shop)
    options = ("--set", settings) if settings else ()
    helm.run("install", release, str(CHART), "-n", release, "--create-namespace", *options)
    address = cluster_ip()
    prometheus(f"{address}:9090")
    plane.apply(service(shop, "prometheus", address))
    env = {
        "POD_NAMESPACE": release,
        "POD_NAME": "by-hand",
        "DYNAMIC_TOOLSET_DEPLOYMENT": NAME,
        "KUBECONFIG": str(plane.kubeconfig_of(release, ACCOUNT)),
    }

    running = start(env=env).wait_ready()

    def generated() -> dict[str, str]:
        printed = plane.kubectl(
            "get", "configmap", CONFIG_MAP, "-n", shop, "--ignore-not-found", "-o", "json"
        )
        data: dict[str, str] = json.loads(printed).get("data", {}) if printed else {}
        return data

    until(lambda: "prometheus" in generated().get("toolset.json", ""), "it writes")
    plane.kubectl("patch", "configmap", CONFIG_MAP, "-n", shop, "--type=merge", "-p", '{"data": null}')
    until(lambda: "prometheus" in generated().get("toolset.json", ""), "it repairs")
    told = ("get", "events", "-n", shop, "-o", "jsonpath={.items[*].message}")
    until(lambda: f"system:serviceaccount:{release}:{ACCOUNT}" in plane.kubectl(*told), "it says so")
    passes = running.metric("toolset_discovery_duration_seconds_count")
    watched = f"deployments (metadata.name={NAME}) of namespace {release}"
    until(lambda: running.watches().get(watched) == "watching", "it watches its Deployment")
    plane.kubectl("annotate", "deployment", NAME, "-n", release, "kubectl.kubernetes.io/restartedAt=now")
    until(lambda: running.metric("toolset_discovery_duration_seconds_count") > passes, "it hears")
    plane.kubectl("delete", "service", "prometheus", "-n", shop)
    until(lambda: not generated(), "it takes back")
    assert running.terminate() == 0
    assert "cannot" not in running.log.read_text()
    assert "forbidden" not in running.log.read_text()
    helm.run("uninstall", release, "-n", release)
