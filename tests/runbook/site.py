"""The runbook's site: installed by its manifest, in its namespace, under its account, with what it looks for.

The service is a process of this machine that listens at its own Service's ClusterIP, as its pod would. What
is typed is run by bash as it is written, with two stand-ins, which the printed table names: there is no
kubelet, so ``kubectl logs`` of the Deployment prints the process' log, and what ``kubectl run`` starts in a
pod of curl's image is run here.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.home import ACCOUNT, CONFIG_MAP, service
from tests.programs import Serve, Server, prometheuses
from tests.realparts import ROOT, ControlPlane, network, part, running_control_plane, until
from tests.service import COMMAND, Running, Start, starting

OWN = "kubernaut-system"
NAME = "kubernaut-dynamic-toolsets"
CONFIG = "kubernaut-dynamic-toolset-config"
MONITORING = "monitoring"
MANIFEST = ROOT / "deploy/dynamic-toolset-deployment.yaml"
LABELS = {"app.kubernetes.io/name": "prometheus"}

KUBECTL = """\
#!/usr/bin/env bash
case $* in
  "logs -n kubernaut-system deployment/kubernaut-dynamic-toolsets"*) exec cat "$SERVICE_LOG" ;;
  "run "*" --image=curlimages/curl "*) while [ "$1" != -- ]; do shift; done; shift; exec "$@" ;;
esac
exec "$KUBECTL" "$@"
"""


class Site:
    """Where the runbook's commands are typed."""

    def __init__(self, plane: ControlPlane, directory: Path, start: Start, serve: Serve) -> None:
        self.plane, self.directory = plane, directory
        self._start, self._serve = start, serve
        self.running: Running | None = None
        self.servers: dict[str, Server] = {}
        self._hosts = iter(range(10, 250))
        plane.kubectl("apply", "-f", str(MANIFEST))
        plane.kubectl("create", "namespace", MONITORING)
        path = "jsonpath={.spec.clusterIP}"
        self.address = plane.kubectl("get", "service", NAME, "-n", OWN, "-o", path)
        self._tools()
        self.add("prometheus", labels=LABELS)

    def _tools(self) -> None:
        tools = self.directory / "bin"
        tools.mkdir()
        (tools / "kubectl").write_text(KUBECTL)
        (tools / "kubectl").chmod(0o755)
        (tools / "dynamic-toolset").symlink_to(COMMAND)
        (tools / "jq").symlink_to(part("programs/jq"))
        # What the cluster's DNS would answer to a pod.
        lines = [f'connect-to = "{NAME}.{OWN}:{port}:{self.address}:{port}"\n' for port in (8080, 9090)]
        (self.directory / ".curlrc").write_text("".join(lines))

    def add(self, name: str, namespace: str = MONITORING, *, serve: bool = True, **metadata: Any) -> Server:
        """A Service with a real Prometheus behind it, which with ``serve`` runs."""
        address = f"{network()}.0.{next(self._hosts)}"
        self.plane.apply(service(namespace, name, address, **metadata))
        server = self._serve(f"{address}:9090")
        self.servers[name] = server
        if not serve:
            server.stop()
        return server

    def bash(self, script: str, *, fails: bool = False) -> str:
        """What a person sees who types this: both streams.

        Raises:
            AssertionError: it failed, or with ``fails`` it did not.
        """
        env = {
            **os.environ,
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "KUBECONFIG": str(self.plane.kubeconfig),
            "KUBECTL": str(part("control-plane") / "kubectl"),
            "SERVICE_LOG": str(self.service.log) if self.running else "/dev/null",
        }
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            cwd=self.directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"exit code {done.returncode} of {script}:\n{done.stdout}"
        return done.stdout

    @property
    def service(self) -> Running:
        """The running service."""
        assert self.running is not None
        return self.running

    def env(self) -> dict[str, str]:
        """The service's, with a token of its account that is fresh."""
        return {
            "POD_NAMESPACE": OWN,
            "POD_NAME": f"{NAME}-0",
            "DYNAMIC_TOOLSET_DEPLOYMENT": NAME,
            "KUBECONFIG": str(self.plane.kubeconfig_of(OWN, ACCOUNT)),
        }

    def restart(self, *, wait: bool = True) -> Running:
        """What the kubelet does after ``kubectl rollout restart``: the process ends, another one begins."""
        self.end()
        addresses = ("--http", f"{self.address}:8080", "--metrics", f"{self.address}:9090")
        self.running = self._start(*addresses, env=self.env())
        return self.running.wait_ready() if wait else self.running

    def end(self) -> None:
        """What the kubelet does when there shall be no pod any more."""
        if self.running is not None:
            if self.running.process.poll() is None:
                self.running.terminate()
            self.running = None

    def configure(self, *lines: str) -> None:
        """Replaces ``config.yaml``."""
        text = "service_discovery:\n" + "".join(f"  {line}\n" for line in lines)
        patch = json.dumps({"data": {"config.yaml": text}})
        self.plane.kubectl("patch", "configmap", CONFIG, "-n", OWN, "--type=merge", "-p", patch)

    def generated(self, namespace: str = MONITORING) -> dict[str, Any]:
        """The generated ConfigMap of a namespace; empty where there is none."""
        arguments = ("get", "configmap", CONFIG_MAP, "-n", namespace, "--ignore-not-found", "-o", "json")
        text = self.plane.kubectl(*arguments)
        obj: dict[str, Any] = json.loads(text) if text else {}
        return obj

    def tools(self, namespace: str = MONITORING) -> list[str]:
        """Names of what is discovered there, by the generated ConfigMap."""
        text = (self.generated(namespace).get("data") or {}).get("toolset.json") or "{}"
        return sorted(tool["name"] for tool in json.loads(text).get("tools", []))

    def shows(self, *names: str, seconds: float = 30) -> None:
        """Waits until exactly these are discovered in ``monitoring``."""
        until(lambda: self.tools() == sorted(names), f"{names} are discovered", seconds=seconds)

    def says(self, words: str, *, seconds: float = 30) -> None:
        """Waits until the service's log holds these words."""
        log = self.service.log
        until(
            lambda: words in log.read_text(), f"the log says {words!r}:\n{log.read_text()}", seconds=seconds
        )

    def failed(self, metric: str) -> float:
        """A counter's value for what failed."""
        return self.service.metric(f'{metric}{{status="failed"}}')

    @contextmanager
    def healed(self) -> Iterator[None]:
        """Afterwards it is installed again, and nothing but the one Prometheus is there."""
        try:
            yield
        finally:
            self.heal()

    def heal(self) -> None:
        """Puts everything right."""
        self.plane.kubectl("apply", "-f", str(MANIFEST))
        self.plane.kubectl("scale", "deployment", NAME, "-n", OWN, "--replicas=2")
        self.plane.kubectl(
            "label",
            "service",
            "prometheus",
            "-n",
            MONITORING,
            "app.kubernetes.io/name=prometheus",
            "--overwrite",
        )
        self.plane.kubectl("delete", "resourcequotas", "--all", "-n", MONITORING)
        self.plane.kubectl("delete", "configmap", CONFIG, "-n", OWN, "--ignore-not-found")
        for name in [name for name in self.servers if name != "prometheus"]:
            self.servers.pop(name).stop()
            self.plane.kubectl("delete", "service", name, "-n", MONITORING, "--ignore-not-found")
        if self.servers["prometheus"].stopped:
            self.servers["prometheus"].start()
        if self.running is not None:
            self.running.kill()
        self.restart()
        self.shows("prometheus")


@contextmanager
def standing(directory: Path) -> Iterator[Site]:
    """A site that is installed, running and healthy."""
    with ExitStack() as stack:
        plane = stack.enter_context(running_control_plane(directory / "plane"))
        start = stack.enter_context(starting(directory))
        site = Site(plane, directory, start, stack.enter_context(prometheuses(directory)))
        stack.callback(site.end)
        site.restart()
        site.shows("prometheus")
        yield site
