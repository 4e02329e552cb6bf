"""What `dynamic-toolset credentials` prints completes a backend: followed as a person would, on real parts.

A real RabbitMQ asks for a login; its Secret is as the RabbitMQ Cluster Operator makes it. What is printed
goes through a shell with the real kubectl, the variables are what a kubelet would give HolmesGPT's container,
and the real HolmesGPT logs in.
"""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.backends.kinds import KINDS
from tests.backends.servers import running
from tests.home import service
from tests.programs import Holmes
from tests.realparts import ControlPlane, part, run
from tests.service import command


@pytest.fixture
def holmes_namespace(control_plane: ControlPlane, namespace: str) -> str:
    name = f"holmes-{namespace}"[:60].rstrip("-")
    control_plane.kubectl("create", "namespace", name)
    return name


def secret(control_plane: ControlPlane, namespace: str, name: str, **data: str) -> None:
    metadata = {"name": name, "namespace": namespace}
    control_plane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})


def container_environment(
    control_plane: ControlPlane, namespace: str, values: dict[str, Any]
) -> dict[str, str]:
    """What the kubelet makes of `additionalEnvVars` (Kubernetes: EnvVarSource)."""
    environment = {}
    for entry in values["additionalEnvVars"]:
        ref = entry["valueFrom"]["secretKeyRef"]
        told = json.loads(control_plane.kubectl("get", "secret", ref["name"], "-n", namespace, "-o", "json"))
        environment[entry["name"]] = base64.b64decode(told["data"][ref["key"]]).decode()
    return environment


def test_followed_to_the_letter_holmesgpt_logs_in(
    control_plane: ControlPlane,
    namespace: str,
    holmes_namespace: str,
    cluster_ip: Callable[[], str],
    holmes: Holmes,
    tmp_path: Path,
) -> None:
    labels = {
        "app.kubernetes.io/name": "jobs",
        "app.kubernetes.io/component": "rabbitmq",
        "app.kubernetes.io/part-of": "rabbitmq",
    }
    secret(control_plane, namespace, "jobs-default-user", username="guest", password="guest")
    only = tmp_path / "only.yaml"
    only.write_text(f"service_discovery: {{namespaces: [{namespace}]}}\n")
    env = {"KUBECONFIG": str(control_plane.kubeconfig)}
    asked = (f"{namespace}/jobs", "--holmesgpt-namespace", holmes_namespace)
    with running(["rabbitmq"], cluster_ip) as servers:
        address = servers["rabbitmq"].ip
        control_plane.apply(service(namespace, "jobs", address, KINDS["rabbitmq"].port, labels=labels))

        def told(output: str) -> str:
            done = command("credentials", *asked, "-o", output, "--config", str(only), env=env)
            assert done.returncode == 0, done.stderr
            return done.stdout

        [entry] = json.loads(told("json"))["services"]
        assert (entry["status"], entry["secret"]) == ("needs_credentials", "jobs-default-user")
        kubectl = {**os.environ, **env, "PATH": f"{part('control-plane')}:{os.environ['PATH']}"}
        printed = [run(["bash", "-euo", "pipefail", "-c", line], env=kubectl) for line in entry["commands"]]
        assert "guest" not in "".join(printed), "no value is shown"
        variables = container_environment(control_plane, holmes_namespace, yaml.safe_load(told("values")))
        config = tmp_path / "config.yaml"
        config.write_text(told("config") + f"  namespaces: [{namespace}]\n")
        file = tmp_path / "custom_toolset.yaml"
        done = command("run", "--once", "--config", str(config), "--toolset-file", str(file), env=env)
        assert done.returncode == 0, done.stderr
        assert "guest" not in file.read_text()

        dns = {f"jobs.{namespace}.svc.cluster.local": address}
        toolset = holmes(file, env=variables, dns=dns)["toolsets"]["rabbitmq/core"]
        assert toolset["status"] == "enabled", toolset
        wrong = holmes(file, env=dict.fromkeys(variables, "wrong"), dns=dns)["toolsets"]["rabbitmq/core"]
        assert wrong["status"] == "failed", "it is the login that lets it in"


def test_who_asks_for_no_login_is_told_so(control_plane: ControlPlane, namespace: str) -> None:
    env = {"KUBECONFIG": str(control_plane.kubeconfig)}
    done = command("credentials", f"{namespace}/nobody", "--no-probe", env=env)
    assert done.returncode == 1
    assert f"{namespace}/nobody asks for no login: see explain {namespace}/nobody" in done.stderr


def test_it_needs_no_right_to_read_secrets(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "serviceaccount", "looker", "-n", namespace)
    group = "rbac.authorization.k8s.io"
    metadata = {"name": f"looker-{namespace}"[:60].rstrip("-")}
    rules = [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    ]
    subject = {"kind": "ServiceAccount", "name": "looker", "namespace": namespace}
    role = {"apiGroup": group, "kind": "ClusterRole", "name": metadata["name"]}
    control_plane.apply(
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": role,
            "subjects": [subject],
        },
        service(namespace, "shop-postgresql", "", 5432, labels={"helm.sh/chart": "postgresql-16.7.1"})
        | {"spec": {"ports": [{"port": 5432}], "selector": {"app": "x"}}},
    )
    env = {"KUBECONFIG": str(control_plane.kubeconfig_of(namespace, "looker"))}
    done = command("credentials", f"{namespace}/shop-postgresql", "--no-probe", env=env)
    assert done.returncode == 0, done.stderr
    assert "name: shop-postgresql\n" in done.stdout
    control_plane.kubectl("delete", "clusterrole,clusterrolebinding", metadata["name"])
