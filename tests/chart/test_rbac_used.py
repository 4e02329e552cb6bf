"""Each right that the chart gives is used, on a real API server, by its audit log.

The service, and its guard, do all that they ever do. What they never asked for is not granted, but for
what the runbook asks whether they may; what they may not and asked for fails here.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.test_rbac import ACCOUNT, NAMESPACE, VARIANTS, Granted, rules
from tests.guard import NAME, OWN, Guarded
from tests.helm import CHART, Helm, Rendered
from tests.home import CONFIG_MAP, service
from tests.programs import Serve
from tests.realparts import ControlPlane, running_control_plane, until
from tests.service import Start, command, free_address

Right = tuple[str, str, str]
"""A verb, a resource as RBAC names it, and the name that it is limited to; empty: any."""

CONFIG = "kubernaut-dynamic-toolset-config"

ASKED_FOR = {("list", "endpoints", ""), ("list", "namespaces", "")}
"""``kubectl auth can-i list …`` in the runbook's diagnosis; discovery itself needs neither."""

MADE_BY_THE_CHART = {("create", "configmaps", CONFIG), ("patch", "configmaps", CONFIG)}
"""Where the values hold a configuration, the service makes its own only if somebody deletes that."""

GUARD = f"system:serviceaccount:{OWN}:{NAME}"


@dataclass(frozen=True)
class Audit:
    """The API server's log of what an account asked for that has the rights of a component of the chart."""

    log: Path
    account: str = ACCOUNT
    component: str = "dynamic-toolsets"

    @contextlib.contextmanager
    def plane(self) -> Iterator[ControlPlane]:
        """A control plane that keeps it."""
        policy = self.log.with_name("policy.json")
        rules = [{"level": "Metadata", "users": [self.account]}, {"level": "None"}]
        header = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
        policy.write_text(json.dumps({**header, "rules": rules}))
        flags = f"--audit-policy-file={policy} --audit-log-path={self.log} --audit-log-mode=blocking"
        with running_control_plane(self.log.with_name("plane"), flags) as plane:
            yield plane

    def asked(self) -> Iterator[tuple[Right, int]]:
        """Each right that was asked for, and the status of the answer."""
        for line in self.log.read_text().splitlines():
            event = json.loads(line)
            about = event.get("objectRef", {})
            if event["user"]["username"] != self.account or "resource" not in about:
                continue
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            selected = re.search(r"fieldSelector=metadata\.name%3D([^&]+)", event["requestURI"])
            name = about.get("name") or (selected[1] if selected else "")
            status = event["responseStatus"]["code"]
            yield (event["verb"], resource, name), status
            if (event["verb"], status) == ("patch", 201):
                yield ("create", resource, name), status  # server-side apply of what was not there takes both

    def given(self, rendered: Rendered) -> set[Right]:
        """What the chart's roles for the account hold."""
        return {
            (verb, resource, name)
            for rule in rules(rendered, self.component)
            for verb in rule["verbs"]
            for resource in rule["resources"]
            for name in rule.get("resourceNames", [""])
        }

    def shows(self, rendered: Rendered, unused: Set[Right]) -> None:
        """All that is given is used but this, and nothing was refused."""

        def left() -> set[Right]:
            used = {right for right, status in self.asked() if status != 403}  # 404: it may look
            used |= {(verb, resource, "") for verb, resource, _ in used}
            return self.given(rendered) - used

        with contextlib.suppress(pytest.fail.Exception):  # what is missing is told below
            until(lambda: left() == unused, "the last of it is in the log")
        assert left() == unused
        assert not {right for right, status in self.asked() if status == 403}, "nothing is missing"


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_granted_is_used_and_what_is_used_is_granted(
    tmp_path: Path,
    helm: Helm,
    start: Start,
    prometheus: Serve,
    cluster_ip: Callable[[], str],
    variant: str,
) -> None:
    values, audit = VARIANTS[variant], Audit(tmp_path / "audit.log")
    with audit.plane() as plane:
        plane.kubectl("apply", "-f", str(CHART / "crds/servicepatterns.yaml"))
        granted = Granted(plane, helm)
        granted.grant(values)
        granted.surely(True, "list", "services", "-n", "monitoring")
        granted.surely(True, "patch", f"configmaps/{CONFIG_MAP}", "-n", "monitoring")
        granted.surely(True, "create", "leases.coordination.k8s.io", "-n", NAMESPACE)

        everything(plane, values, start, prometheus, cluster_ip)

        rendered = helm.render(values)
        unused = ASKED_FOR | (MADE_BY_THE_CHART if values.get("namespaces") else set())
        audit.shows(rendered, unused & audit.given(rendered))


def test_of_the_guards_account_too(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.log", GUARD, "toolset-webhook")
    values = {"guard": {"mode": "webhook"}}
    with audit.plane() as plane, contextlib.ExitStack() as stack:
        guarded = Guarded(plane, tmp_path)
        stack.callback(lambda: [webhook.kill() for webhook in guarded.webhooks])
        plane.kubectl("delete", "serviceaccount", "kubernaut-service-discovery", "-n", OWN)
        cluster = Helm(tmp_path, plane.kubeconfig)
        cluster.run("install", "guard", str(CHART), "-n", OWN, values=values)
        guarded.kubeconfig = guarded.account(OWN, NAME).kubeconfig
        guarded.config = {"patience": "0s"}
        guarded.serve("--register", "service", listen=free_address())

        audit.shows(cluster.render(values), set())


def everything(
    plane: ControlPlane,
    values: Mapping[str, Any],
    start: Start,
    prometheus: Serve,
    cluster_ip: Callable[[], str],
) -> None:
    """The service finds, publishes, repairs, takes back, tells; in each way there is."""
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
