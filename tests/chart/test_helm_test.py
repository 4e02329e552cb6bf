"""What `helm test` runs, against a real API server: it passes when all is well, and says what is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helm import CHART
from tests.home import CONFIG_MAP, config_map
from tests.realparts import ControlPlane
from tests.service import free_address

SCRIPT = CHART / "files/helm_test.py"
GUARD = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["UPDATE"],
                    "resources": ["configmaps"],
                }
            ]
        },
        "validations": [
            {"expression": "request.userInfo.username == 'admin'", "message": "the guard says no"}
        ],
    },
}


def run(plane: ControlPlane, namespace: str, directory: Path, guard: str) -> subprocess.CompletedProcess[str]:
    """The script, as its pod would run it, as the namespace's default account."""
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [CONFIG_MAP],
        "verbs": ["get", "patch"],
    }
    group = "rbac.authorization.k8s.io"
    metadata = {"name": "test", "namespace": namespace}
    plane.apply(
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "test"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        },
    )
    (directory / "token").write_text(plane.token(namespace, "default"))
    (directory / "ca.crt").write_bytes(plane.ca.read_bytes())
    host, _, port = plane.server.removeprefix("https://").partition(":")
    env = {
        **os.environ,
        "ACCOUNT_DIR": str(directory),
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "TEST_NAMESPACE": namespace,
        "TEST_SECONDS": "2",
        "TEST_GUARD": guard,
        "TEST_ADDRESS": "127.0.0.1",
        "TEST_PORT": free_address().rpartition(":")[2],
    }
    return subprocess.run(
        [sys.executable, str(SCRIPT)], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def listing(namespace: str, status: str) -> str:
    return json.dumps({"tools": [{"namespace": namespace, "name": "dynamic-toolset-test", "status": status}]})


def test_it_passes_when_its_service_is_discovered(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    control_plane.apply(config_map(namespace, CONFIG_MAP, {"toolset.json": listing(namespace, "verified")}))
    done = run(control_plane, namespace, tmp_path, "off")
    assert done.returncode == 0, done
    assert "was discovered and verified" in done.stdout
    assert "the guard is off" in done.stdout


@pytest.mark.parametrize(
    ("data", "why"),
    [(None, "not found"), ("{}", "does not list it"), ("unproven", "its status is unproven")],
)
def test_it_fails_and_says_why_when_it_is_not(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, data: str | None, why: str
) -> None:
    if data is not None:
        text = listing(namespace, data) if data == "unproven" else data
        control_plane.apply(config_map(namespace, CONFIG_MAP, {"toolset.json": text}))
    done = run(control_plane, namespace, tmp_path, "off")
    assert done.returncode == 1
    assert why in done.stdout


def test_it_fails_when_a_stranger_may_write_although_the_guard_is_on(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    control_plane.apply(config_map(namespace, CONFIG_MAP, {"toolset.json": listing(namespace, "verified")}))
    done = run(control_plane, namespace, tmp_path, "webhook")
    assert done.returncode == 1
    assert "FAILED: a write was not refused by the guard: 200" in done.stdout


def test_it_passes_when_the_guard_refuses(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    control_plane.apply(config_map(namespace, CONFIG_MAP, {"toolset.json": listing(namespace, "verified")}))
    policy = {**GUARD, "metadata": {"name": namespace}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace,
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            },
        },
    }
    control_plane.apply(policy, binding)
    try:
        # A policy is in force a moment after it is there.
        for _ in range(20):
            done = run(control_plane, namespace, tmp_path, "policy")
            if done.returncode == 0:
                break
        assert done.returncode == 0, done
        assert "ok: a write was refused: 422" in done.stdout
        assert "the guard says no" in done.stdout
    finally:
        kinds = ("validatingadmissionpolicybinding", "validatingadmissionpolicy")
        for kind in kinds:
            control_plane.kubectl("delete", kind, namespace)
