"""As HolmesGPT's dependency: wired by values, by named templates, or by the umbrella.

HolmesGPT's chart is in no package registry, and it is not ours to copy. So each test runs on a chart of
ours that prints the lists as HolmesGPT's does, and says no more about HolmesGPT than that; and, where
HOLMESGPT_CHART is the directory of HolmesGPT's own chart, on that one too.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import CHART, Helm, Rendered, at
from tests.holmes_chart import assemble_umbrella, write_parent
from tests.realparts import ROOT, ControlPlane

OVERLAY = ROOT / "helm/holmesgpt-values.yaml"
DIRECTORY = "/etc/holmes/discovered"
HOLMESGPT = os.environ.get("HOLMESGPT_CHART")
CHARTS = ["parent", *(["holmesgpt"] if HOLMESGPT else [])]


@pytest.fixture(params=CHARTS)
def holmes(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A chart called holmes, of our own making or HolmesGPT's."""
    chart = tmp_path / "holmes"
    if HOLMESGPT and request.param == "holmesgpt":
        shutil.copytree(HOLMESGPT, chart)
        return chart
    return write_parent(chart)


def depend(chart: Path, condition: str = "dynamic-toolset.enabled") -> Path:
    """Makes ours a dependency of a chart, as HolmesGPT would."""
    shutil.copytree(CHART, chart / "charts/dynamic-toolset")
    meta = yaml.safe_load((chart / "Chart.yaml").read_text())
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    meta.setdefault("dependencies", []).append(
        {"name": "dynamic-toolset", "version": version, "repository": "", "condition": condition}
    )
    (chart / "Chart.yaml").write_text(yaml.safe_dump(meta))
    return chart


def adopt(chart: Path) -> Path:
    """Makes the changes of docs/install.md ("Adopted by HolmesGPT's chart") in a copy of the chart."""
    text = (ROOT / "docs/install.md").read_text()
    lines = re.findall(r"```gotemplate\n(.*?)```", text, re.DOTALL)
    volumes, mounts, env, containers = (line.rstrip("\n") for line in lines)
    template = chart / "templates/holmes.yaml"
    source = template.read_text()
    for anchor, addition in (
        (r"^      volumes:\n", volumes),
        (r"^        volumeMounts:\n", mounts),
        (r"^        env:\n", env),
    ):
        source, count = re.subn(
            anchor, lambda found, more=addition: found[0] + more + "\n", source, flags=re.MULTILINE
        )  # type: ignore[misc]
        assert count == 1, anchor
    block = r"^      \{\{- if \.Values\.initContainers \}\}\n.*?\{\{- end \}\}\n"
    source, count = re.subn(block, lambda _: containers + "\n", source, flags=re.MULTILINE | re.DOTALL)
    assert count == 1
    template.write_text(source)
    return depend(chart)


def pod(rendered: Rendered) -> dict[str, Any]:
    deployments = [obj for obj in rendered.all("Deployment") if obj["metadata"]["name"].endswith("-holmes")]
    spec: dict[str, Any] = deployments[0]["spec"]["template"]["spec"]
    return spec


def check_wired(spec: dict[str, Any]) -> None:
    """Everything that the sidecar needs, and nothing of it in HolmesGPT's container."""
    sidecar = spec["initContainers"][0]
    main = spec["containers"][0]
    assert sidecar["name"] == "dynamic-toolset"
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/startz"
    assert sidecar["startupProbe"]["periodSeconds"] * sidecar["startupProbe"]["failureThreshold"] >= 60
    assert sidecar["livenessProbe"]["httpGet"]["path"] == "/health"
    assert "readinessProbe" not in sidecar
    env = {item["name"]: item.get("value") for item in sidecar["env"]}
    assert env["DYNAMIC_TOOLSET_SIDECAR"] == "true"
    assert env["DYNAMIC_TOOLSET_FILE"] == f"{DIRECTORY}/custom_toolset.yaml"
    mounts = {item["name"]: item for item in sidecar["volumeMounts"]}
    assert mounts["custom-toolsets-configmap"] == {
        "name": "custom-toolsets-configmap",
        "mountPath": str(Path(env["DYNAMIC_TOOLSET_BASE"] or "").parent),
        "readOnly": True,
    }
    seen = {item["name"]: item for item in main["volumeMounts"]}
    assert seen["dynamic-toolset-file"] == {
        "name": "dynamic-toolset-file",
        "mountPath": DIRECTORY,
        "readOnly": True,
    }
    assert "dynamic-toolset-token" not in seen
    assert {"name": "CUSTOM_TOOLSET_LOCATION", "value": f"{DIRECTORY}/custom_toolset.yaml"} in main["env"]
    volumes = [volume["name"] for volume in spec["volumes"]]
    assert len(volumes) == len(set(volumes))
    assert set(mounts) <= set(volumes)


def check_own_identity(spec: dict[str, Any], rendered: Rendered) -> None:
    mount = next(m for m in spec["initContainers"][0]["volumeMounts"] if m["name"] == "dynamic-toolset-token")
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount", "no slash at its end"
    secret = next(v for v in spec["volumes"] if v["name"] == "dynamic-toolset-token")["secret"]
    assert secret == {"secretName": "kubernaut-service-discovery-token", "optional": True}
    token = rendered.one("Secret", secret["secretName"])
    assert token["metadata"]["annotations"] == {
        "kubernetes.io/service-account.name": "kubernaut-service-discovery"
    }
    assert "data" not in token


THEIRS = {
    "additionalEnvVars": [{"name": "MINE", "value": "1"}],
    "additionalVolumes": [{"name": "mine", "emptyDir": {}}],
    "additionalVolumeMounts": [{"name": "mine", "mountPath": "/mine"}],
    "initContainers": [{"name": "mine", "image": "mine:1"}],
}


def test_our_values_file_wires_the_sidecar_into_holmesgpts_chart(helm: Helm, holmes: Path) -> None:
    rendered = helm.render(None, "-f", str(OVERLAY), chart=depend(holmes), release="rel")
    check_wired(pod(rendered))
    check_own_identity(pod(rendered), rendered)
    assert "Deployment/kubernaut-dynamic-toolsets" not in rendered.names()


def test_the_values_file_leaves_additional_env_vars_to_people(helm: Helm, holmes: Path) -> None:
    mine = {"additionalEnvVars": THEIRS["additionalEnvVars"]}
    spec = pod(helm.render(mine, "-f", str(OVERLAY), chart=depend(holmes), release="rel"))
    check_wired(spec)
    assert {"name": "MINE", "value": "1"} in spec["containers"][0]["env"]


def test_adopted_the_chart_keeps_what_people_list_beside_ours(helm: Helm, holmes: Path) -> None:
    rendered = helm.render(THEIRS, chart=adopt(holmes), release="rel")
    spec = pod(rendered)
    check_wired(spec)
    check_own_identity(spec, rendered)
    assert [container["name"] for container in spec["initContainers"]] == ["dynamic-toolset", "mine"]
    assert "mine" in [volume["name"] for volume in spec["volumes"]]
    assert {"name": "MINE", "value": "1"} in spec["containers"][0]["env"]


def test_adopted_and_with_nothing_set_it_is_wired(helm: Helm, holmes: Path) -> None:
    check_wired(pod(helm.render(chart=adopt(holmes), release="rel")))


def test_the_condition_switches_all_of_it_off(helm: Helm, holmes: Path, tmp_path: Path) -> None:
    plain = helm.render(THEIRS, chart=holmes, release="rel").objects
    shutil.copytree(holmes, tmp_path / "adopted")
    off = {**THEIRS, "dynamic-toolset": {"enabled": False}}
    assert helm.render(off, chart=adopt(tmp_path / "adopted"), release="rel").objects == plain


SIDECAR_VALUES = {
    "sidecar.resources": ({"limits": {"memory": "9Gi"}}, "resources.limits.memory", "9Gi"),
    "sidecar.httpPort": (18080, "ports.0.containerPort", 18080),
    "sidecar.metricsPort": (19090, "ports.1.containerPort", 19090),
    "image.tag": ("9", "image", "kubernaut/dynamic-toolset:9"),
}


@pytest.mark.parametrize("value", SIDECAR_VALUES)
def test_values_of_ours_reach_the_sidecar_where_the_chart_adopted_us(
    helm: Helm, holmes: Path, value: str
) -> None:
    setting, path, expected = SIDECAR_VALUES[value]
    section, _, key = value.partition(".")
    values = {"dynamic-toolset": {section: {key: setting}}}
    sidecar = pod(helm.render(values, chart=adopt(holmes), release="rel"))["initContainers"][0]
    assert at(sidecar, path) == expected


def test_the_ports_are_the_ones_that_the_sidecar_listens_at(helm: Helm, holmes: Path) -> None:
    values = {
        "dynamic-toolset": {"sidecar": {"httpPort": 18080, "metricsPort": 19090}, "listenAddress": "[::]"}
    }
    sidecar = pod(helm.render(values, chart=adopt(holmes), release="rel"))["initContainers"][0]
    env = {item["name"]: item.get("value") for item in sidecar["env"]}
    assert (env["DYNAMIC_TOOLSET_HTTP"], env["DYNAMIC_TOOLSET_METRICS"]) == ("[::]:18080", "[::]:19090")


def test_how_often_holmesgpt_looks_is_a_string(helm: Helm, holmes: Path) -> None:
    values = {"dynamic-toolset": {"sidecar": {"refreshSeconds": 7}}}
    env = pod(helm.render(values, chart=adopt(holmes), release="rel"))["containers"][0]["env"]
    assert {"name": "TOOLSET_STATUS_REFRESH_INTERVAL_SECONDS", "value": "7"} in env


@pytest.mark.parametrize("values", [{"writer": "none"}, {"sidecar": {"ownIdentity": False}}])
def test_without_an_identity_of_its_own_it_writes_the_file_alone(
    helm: Helm, holmes: Path, values: dict[str, Any]
) -> None:
    rendered = helm.render({"dynamic-toolset": values}, chart=adopt(holmes), release="rel")
    sidecar = pod(rendered)["initContainers"][0]
    check_wired(pod(rendered))
    assert {"name": "DYNAMIC_TOOLSET_CONFIG_MAPS", "value": "false"} in sidecar["env"]
    assert "dynamic-toolset-token" not in {mount["name"] for mount in sidecar["volumeMounts"]}
    assert not [name for name in rendered.names() if "kubernaut" in name]


def test_the_schema_holds_through_the_parent_and_lets_its_globals_be(helm: Helm, holmes: Path) -> None:
    depend(holmes)
    helm.render({"global": {"anything": {"at": "all"}}}, chart=holmes, release="rel")
    assert "'nope' not allowed" in helm.refusal({"dynamic-toolset": {"nope": 1}}, chart=holmes)


def test_clusters_without_native_sidecars_are_refused_with_a_sentence(helm: Helm, holmes: Path) -> None:
    refusal = helm.refusal({}, "--kube-version", "1.28.0", chart=adopt(holmes))
    assert "needs native sidecars, which Kubernetes has from 1.29; this is v1.28.0" in refusal


@pytest.fixture
def umbrella(holmes: Path, tmp_path: Path) -> Path:
    return assemble_umbrella(tmp_path / "umbrella", holmes)


def test_the_umbrella_installs_both_and_wires_them(helm: Helm, umbrella: Path) -> None:
    rendered = helm.render(chart=umbrella, release="rel")
    check_wired(pod(rendered))
    check_own_identity(pod(rendered), rendered)


@pytest.mark.parametrize("name", ["initContainers", "additionalVolumes", "additionalVolumeMounts"])
def test_the_umbrella_refuses_lists_that_displaced_ours(helm: Helm, umbrella: Path, name: str) -> None:
    refusal = helm.refusal({"holmes": {name: THEIRS[name]}}, chart=umbrella)
    assert f"holmes.{name} has lost its entry" in refusal


def test_the_umbrella_refuses_another_file(helm: Helm, umbrella: Path) -> None:
    other = [{"name": "CUSTOM_TOOLSET_LOCATION", "value": "/mine.yaml"}]
    refusal = helm.refusal({"holmes": {"additional_env_vars": other}}, chart=umbrella)
    assert 'HolmesGPT would read "/mine.yaml"' in refusal


def test_the_umbrella_says_what_switching_off_takes(helm: Helm, umbrella: Path) -> None:
    off: dict[str, Any] = {"dynamic-toolset": {"enabled": False}}
    assert "still has the entry" in helm.refusal(off, chart=umbrella)
    lists = ("initContainers", "additionalVolumes", "additionalVolumeMounts", "additional_env_vars")
    rendered = helm.render({**off, "holmes": dict.fromkeys(lists)}, chart=umbrella, release="rel")
    assert "initContainers" not in pod(rendered)
    assert not [name for name in rendered.names() if "kubernaut" in name]


def test_two_holmesgpts_and_the_service_by_itself_live_in_one_cluster(
    control_plane: ControlPlane, tmp_path: Path, holmes: Path
) -> None:
    cluster = Helm(tmp_path / "home", control_plane.kubeconfig)
    adopt(holmes)
    first, second, third = (f"two-{holmes.stat().st_ino}-{number}" for number in range(3))
    try:
        cluster.run("install", "h1", str(holmes), "-n", first, "--create-namespace")
        none = ("--set", "dynamic-toolset.writer=none")
        cluster.run("install", "h2", str(holmes), "-n", second, "--create-namespace", *none)
        suffix = ("--set", "nameSuffix=other")
        cluster.run("install", "own", str(CHART), "-n", third, "--create-namespace", *suffix)
        name = "kubernaut-service-discovery-token"
        token = control_plane.kubectl("get", "secret", name, "-n", first, "-o", "jsonpath={.data.token}")
        assert token, "Kubernetes fills in the token"
    finally:
        for release, namespace in (("h1", first), ("h2", second), ("own", third)):
            cluster.run("uninstall", release, "-n", namespace, "--ignore-not-found")
            control_plane.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
