"""Each right that the chart gives the service's account is used, on a real API server, by its audit log.

The service does all that it ever does. What it never asked for is not granted, but for what the runbook
asks whether it may; what it may not and asked for fails here.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.test_rbac import ACCOUNT, NAMESPACE, VARIANTS, Granted, rules
from tests.helm import Helm, Rendered
from tests.home import CONFIG_MAP, service
from tests.programs import Serve
from tests.realparts import ROOT, running_control_plane, until
from tests.service import Start, command

Right = tuple[str, str, str]
"""A verb, a resource as RBAC names it, and the name that it is limited to; empty: any."""

CONFIG = "kubernaut-dynamic-toolset-config"

ASKED_FOR = {("list", "endpoints", ""), ("list", "namespaces", "")}
"""``kubectl auth can-i list …`` in the runbook's diagnosis; discovery itself needs neither."""

MADE_BY_THE_CHART = {("create", "configmaps", CONFIG), ("patch", "configmaps", CONFIG)}
"""Where the values hold a configuration, the service makes its own only if somebody deletes that."""

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [ACCOUNT]}, {"level": "None"}],
}


@dataclass(frozen=True)
class Audited:
    """A control plane that keeps a log of what the account asked for."""

    granted: Granted
    log: Path

    def asked(self) -> Iterator[tuple[Right, int]]:
        """Each right that was asked for, and the status of the answer."""
        for line in self.log.read_text().splitlines():
            event = json.loads(line)
            about = event.get("objectRef", {})
            if event["user"]["username"] != ACCOUNT or "resource" not in about:
                continue
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            selected = re.search(r"fieldSelector=metadata\.name%3D([^&]+)", event["requestURI"])
            name = about.get("name") or (selected[1] if selected else "")
            status = event["responseStatus"]["code"]
            yield (event["verb"], resource, name), status
            if (event["verb"], status) == ("patch", 201):
                yield ("create", resource, name), status  # server-side apply of what was not there takes both

    def unused(self, rendered: Rendered) -> set[Right]:
        """The rights that the chart gives and that were never used."""
        used = {right for right, status in self.asked() if status != 403}  # 404: it may look
        used |= {(verb, resource, "") for verb, resource, _ in used}
        return given(rendered) - used


@pytest.fixture
def audited(tmp_path: Path, helm: Helm) -> Iterator[Audited]:
    policy, log = tmp_path / "policy.json", tmp_path / "audit.log"
    policy.write_text(json.dumps(POLICY))
    flags = f"--audit-policy-file={policy} --audit-log-path={log} --audit-log-mode=blocking"
    with running_control_plane(tmp_path / "plane", flags) as plane:
        plane.kubectl("apply", "-f", str(ROOT / "helm/dynamic-toolset/crds/servicepatterns.yaml"))
        yield Audited(Granted(plane, helm), log)


def given(rendered: Rendered) -> set[Right]:
    """What the chart's roles for the account hold."""
    return {
        (verb, resource, name)
        for rule in rules(rendered)
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_granted_is_used_and_what_is_used_is_granted(
    audited: Audited,
    helm: Helm,
    start: Start,
    prometheus: Serve,
    cluster_ip: Callable[[], str],
    variant: str,
) -> None:
    values = VARIANTS[variant]
    granted = audited.granted
    granted.grant(values)
    granted.surely(True, "list", "services", "-n", "monitoring")
    granted.surely(True, "patch", f"configmaps/{CONFIG_MAP}", "-n", "monitoring")
    granted.surely(True, "create", "leases.coordination.k8s.io", "-n", NAMESPACE)

    expected = ASKED_FOR | MADE_BY_THE_CHART if values.get("namespaces") else ASKED_FOR
    rendered = helm.render(values)
    expected &= given(rendered)

    everything(audited, values, start, prometheus, cluster_ip)

    with contextlib.suppress(pytest.fail.Exception):  # what is missing is told below
        until(lambda: audited.unused(rendered) == expected, "the last of it is in the log")
    assert audited.unused(rendered) == expected
    refused = {right for right, status in audited.asked() if status == 403}
    assert not refused, "nothing is missing"


def everything(
    audited: Audited,
    values: Mapping[str, Any],
    start: Start,
    prometheus: Serve,
    cluster_ip: Callable[[], str],
) -> None:
    """The service finds, publishes, repairs, takes back, tells; in each way there is."""
    plane = audited.granted.plane
    if values.get("namespaces"):  # as the chart does; else the service makes its own
        text = yaml.safe_dump({"service_discovery": {"namespaces": values["namespaces"]}})
        metadata = {"name": CONFIG, "namespace": NAMESPACE}
        data = {"config.yaml": text}
        plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    address = cluster_ip()
    prometheus(f"{address}:9090")
    headless = service("monitoring", "alertmanager", "None", 9093)
    pattern = {"apiVersion": "kubernaut.io/v1", "kind": "ServicePattern"}
    wrong = {**pattern, "metadata": {"name": "wrong", "namespace": "monitoring"}, "spec": {"type": "horn"}}
    plane.apply(service("monitoring", "prometheus", address), headless, wrong)
    kubeconfig = plane.kubeconfig_of(NAMESPACE, "kubernaut-service-discovery")
    deployment = ("--deployment", "kubernaut-dynamic-toolsets") if values.get("writer") != "sidecar" else ()
    start(
        *deployment, env={"POD_NAMESPACE": NAMESPACE, "POD_NAME": "a", "KUBECONFIG": str(kubeconfig)}
    ).wait_ready()

    def there() -> str:
        path = "jsonpath={.data.toolset\\.json}"
        return plane.kubectl("get", *generated, "--ignore-not-found", "-o", path)

    generated = ("configmap", CONFIG_MAP, "-n", "monitoring")
    once = command("run", "--once", env={"POD_NAMESPACE": NAMESPACE, "KUBECONFIG": str(kubeconfig)})
    assert once.returncode == 0, once.stderr
    for _ in range(2):  # an Event that is told again is counted
        until(lambda: "prometheus" in there(), "it is published, or put right")
        plane.kubectl("patch", *generated, "--type=merge", "-p", '{"data": {"toolset.json": "{}"}}')
    until(lambda: "prometheus" in there(), "it is put right")
    plane.kubectl("delete", "service", "prometheus", "-n", "monitoring")
    until(lambda: not there(), "it is taken back")
