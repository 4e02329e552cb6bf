"""One switch: the webhook adds the sidecar to HolmesGPT's pods and takes it back, on the real API server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.guard import NAME, OWN, Guarded, Webhook
from tests.helm import CHART, Helm, Rendered, at
from tests.realparts import running_control_plane, until
from tests.service import COMMAND
from webhook.config import read_injection
from webhook.inject import INJECTED, Injection

ON = {"enabled": True, "namespaces": ["holmes"]}
VALUES = {"injection": ON}
INJECTING = f"{NAME}-injection"
UNDO = f"{INJECTING}-undo"
DIRECTORY = "/etc/holmes/discovered"


def text_of(rendered: Rendered) -> str:
    """What the webhook's pods read."""
    annotations = rendered.one("Deployment", NAME)["spec"]["template"]["metadata"]["annotations"]
    return str(annotations["kubernaut.io/injection-config"])


def injection_of(rendered: Rendered) -> Injection:
    return read_injection(text_of(rendered))


def test_by_default_nothing_is_injected(helm: Helm) -> None:
    rendered = helm.render()
    assert not [name for name in rendered.names() if "injection" in name]
    assert "kubernaut.io/injection-config" not in json.dumps(rendered.objects)


def test_what_is_injected_is_what_holmesgpts_chart_would_include(helm: Helm) -> None:
    injection = injection_of(helm.render({**VALUES, "log": {"level": "debug"}}))
    (sidecar,) = injection.init_containers
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["securityContext"]["readOnlyRootFilesystem"]
    env = {variable["name"]: variable.get("value") for variable in sidecar["env"]}
    assert env["DYNAMIC_TOOLSET_FILE"] == f"{DIRECTORY}/custom_toolset.yaml"
    assert env["LOG_LEVEL"] == "debug"
    assert env["DYNAMIC_TOOLSET_CONFIG_MAPS"] == "false", "the Deployment writes them"
    assert [volume["name"] for volume in injection.volumes] == ["dynamic-toolset-file"]
    assert injection.env[0] == {
        "name": "CUSTOM_TOOLSET_LOCATION",
        "value": f"{DIRECTORY}/custom_toolset.yaml",
    }


def test_where_the_sidecar_writes_it_has_its_own_token(helm: Helm) -> None:
    injection = injection_of(helm.render({"writer": "sidecar", "injection": {"enabled": True}}))
    assert "dynamic-toolset-token" in {volume["name"] for volume in injection.volumes}
    assert injection.namespaces == (OWN,)


def test_values_reach_the_injection(helm: Helm) -> None:
    more = {"podLabels": {"app": "mine"}, "container": "gpt", "restart": False}
    rendered = helm.render({"injection": {**ON, **more}})
    injection = injection_of(rendered)
    assert (injection.labels, injection.container) == ({"app": "mine"}, "gpt")
    env = at(rendered.one("Deployment", NAME), "spec.template.spec.containers.0.env")
    assert {"name": "DYNAMIC_TOOLSET_RESTART", "value": "false"} in env
    assert not [
        role for role in rendered.all("Role") if "deployments" in json.dumps(role) and UNDO in str(role)
    ]
    assert not rendered.all("Job")


def test_the_namespace_is_holmesgpts_unless_it_is_said(helm: Helm) -> None:
    values = {"holmesgpt": {"namespace": "elsewhere"}, "injection": {"enabled": True}}
    assert injection_of(helm.render(values)).namespaces == ("elsewhere",)
    assert injection_of(helm.render({"injection": {"enabled": True}})).namespaces == (OWN,)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"guard": {"mode": "policy"}}, "injection.enabled needs the webhook, and guard.mode is policy"),
        ({"writer": "none"}, "guard.mode is off: set it to webhook or both"),
        ({"writer": "sidecar"}, "the sidecar's token is in namespace kubernaut-system alone, not in holmes"),
        ({"injection": {**ON, "namespaces": ["A"]}}, "at '/injection/namespaces/0'"),
        ({"injection": {**ON, "colour": 1}}, "'colour'"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(helm: Helm, values: dict[str, Any], sentence: str) -> None:
    assert sentence in helm.refusal({**VALUES, **values}, "--kube-version", "1.35.0")


def holmes(name: str, **spec: Any) -> dict[str, Any]:
    """A Deployment as HolmesGPT's chart makes it, as far as the injection looks."""
    container = {
        "name": "holmes",
        "image": "holmes:0",
        "env": [{"name": "LOG_LEVEL", "value": "INFO"}],
        "volumeMounts": [{"name": "my-toolsets", "mountPath": "/etc/holmes/config"}],
    }
    volumes = [{"name": "my-toolsets", "configMap": {"name": "custom-toolsets-configmap", "optional": True}}]
    labels = {"app": "holmes", "release": name}
    pod = {
        "initContainers": [{"name": "certificates", "image": "x"}],
        "containers": [container],
        "volumes": volumes,
        **spec,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "holmes"},
        "spec": {
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


class Injecting:
    """The chart's webhook with exactly the chart's rights, reached by its URL."""

    def __init__(self, guarded: Guarded, helm: Helm, directory: Path) -> None:
        self.guarded, self.helm, self.plane = guarded, helm, guarded.plane
        self.file = directory / "injection.yaml"
        self.rendered = helm.render(VALUES)
        self.file.write_text(text_of(self.rendered))
        self.digest = injection_of(self.rendered).digest

    def serve(self) -> Webhook:
        return self.guarded.serve("--register", "url", "--injection", str(self.file))

    def pods(self, release: str) -> list[dict[str, Any]]:
        """Its pods that stay."""
        printed = self.plane.kubectl("get", "pods", "-n", "holmes", "-l", f"release={release}", "-o", "json")
        found: list[dict[str, Any]] = json.loads(printed)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def sidecars(self, release: str) -> list[bool]:
        """Of each of its pods, whether it has a sidecar from here."""
        return [INJECTED in pod["metadata"].get("annotations", {}) for pod in self.pods(release)]

    def undo(self) -> "subprocess.CompletedProcess[str]":
        """What the Job does that Helm starts when the release is uninstalled, with exactly its rights."""
        hooks = [
            obj
            for obj in self.rendered.objects
            if "post-delete" in str(obj["metadata"].get("annotations", {}).get("helm.sh/hook"))
        ]
        self.plane.apply(*(obj for obj in hooks if obj["kind"] != "Job"))
        account = self.guarded.account(OWN, UNDO)
        (job,) = (obj for obj in hooks if obj["kind"] == "Job")
        arguments = at(job, "spec.template.spec.containers.0.args")
        guard = self.file.parent / "undo-guard.yaml"
        guard.write_text(at(job, "spec.template.metadata.annotations")["kubernaut.io/guard-config"])
        files = {"/etc/guard/guard.yaml": str(guard), "/etc/guard/injection.yaml": str(self.file)}
        return subprocess.run(
            [COMMAND, *(files.get(argument, argument) for argument in arguments)],
            env={"PATH": "/usr/bin:/bin", "KUBECONFIG": str(account.kubeconfig), "POD_NAMESPACE": OWN},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def injecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Injecting]:
    directory = tmp_path_factory.mktemp("injecting")
    with running_control_plane(directory / "plane") as plane:
        guarded = Guarded(plane, directory)
        plane.kubectl("delete", "serviceaccount", "kubernaut-service-discovery", "-n", OWN)
        plane.kubectl("create", "namespace", "holmes")
        plane.kubectl("create", "namespace", "beside")
        helm = Helm(directory, plane.kubeconfig)
        plane.apply(holmes("early"))
        helm.run("install", "guard", str(CHART), "-n", OWN, values=VALUES)
        guarded.kubeconfig = guarded.account(OWN, NAME).kubeconfig
        guarded.config = {"patience": "0s"}
        it = Injecting(guarded, helm, directory)
        until(lambda: it.sidecars("early") == [False], "HolmesGPT was there before")
        try:
            yield it
        finally:
            for webhook in guarded.webhooks:
                webhook.kill()


def test_one_switch_and_back(injecting: Injecting) -> None:
    """The whole way in order, since each step stands on the one before."""
    webhook = injecting.serve()
    until(lambda: injecting.sidecars("early") == [True], "what was there before is restarted")
    (pod,) = injecting.pods("early")
    spec = pod["spec"]
    assert [container["name"] for container in spec["initContainers"]] == ["dynamic-toolset", "certificates"]
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}
    assert mounts["/etc/holmes/config"] == "my-toolsets"
    assert mounts[DIRECTORY] == "dynamic-toolset-file"
    location = {"name": "CUSTOM_TOOLSET_LOCATION", "value": f"{DIRECTORY}/custom_toolset.yaml"}
    assert location in spec["containers"][0]["env"]
    assert pod["metadata"]["annotations"][INJECTED] == injecting.digest
    deployment = yaml.safe_load(
        injecting.plane.kubectl("get", "deployment", "early", "-n", "holmes", "-o", "json")
    )
    assert [one["name"] for one in at(deployment, "spec.template.spec.initContainers")] == ["certificates"]

    injecting.plane.apply(holmes("late"))
    until(lambda: injecting.sidecars("late") == [True], "a new one has it from its start")

    elsewhere = holmes("beside")
    elsewhere["metadata"]["namespace"] = "beside"
    other = holmes("own-file")
    other["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "CUSTOM_TOOLSET_LOCATION", "value": "/mine.yaml"}
    ]
    injecting.plane.apply(elsewhere, other)
    until(lambda: injecting.pods("own-file"), "its pod is made")
    assert injecting.sidecars("own-file") == [False]
    assert "CUSTOM_TOOLSET_LOCATION is /mine.yaml already" in webhook.log.read_text()
    find = ("get", "pods", "-n", "beside", "-o", "json")
    until(lambda: json.loads(injecting.plane.kubectl(*find))["items"], "its pod is made")
    assert INJECTED not in injecting.plane.kubectl(*find), "another namespace's are nobody's business"

    webhook.kill()
    injecting.plane.apply(holmes("meanwhile"))
    until(lambda: injecting.sidecars("meanwhile") == [False], "it is made without, while nobody answers")
    generation = ("get", "deployment", "early", "-n", "holmes", "-o", "jsonpath={.metadata.generation}")
    before = injecting.plane.kubectl(*generation)
    injecting.serve()
    until(lambda: injecting.sidecars("meanwhile") == [True], "and with it, once somebody does")
    assert injecting.plane.kubectl(*generation) == before, "what has it is not restarted"

    for webhook in injecting.guarded.webhooks:
        webhook.kill()
    injecting.helm.run("uninstall", "guard", "-n", OWN, "--no-hooks")
    done = injecting.undo()
    assert done.returncode == 0, done.stderr
    for release in ("early", "late", "meanwhile"):
        until(lambda release=release: injecting.sidecars(release) == [False], f"{release} is as it was")
    find = ("get", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "-o", "name")
    assert NAME not in injecting.plane.kubectl(*find)
