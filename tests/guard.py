"""The guard before a real API server: as a webhook of this machine, as a policy, or both."""

import base64
import json
import os
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.home import ACCOUNT, CONFIG_MAP
from tests.realparts import ROOT, ControlPlane, part, until
from tests.service import COMMAND, free_address
from toolset import names

OWN = "kubernaut-system"
NAME = "kubernaut-toolset-webhook"
WRITER = f"system:serviceaccount:{OWN}:{ACCOUNT}"
POLICY = ROOT / "helm/dynamic-toolset/files/guard-policy.yaml"
MODES = ("webhook", "policy", "both")

CONTENT = {
    "custom_toolset.yaml": 'toolsets:\n  "discovery/revision-1":\n    description: "none"\n',
    "toolset.json": '{"tools": []}\n',
    "services.yaml": "services: []\n",
}
"""As the service would write where it found nothing."""


def generated(
    namespace: str, data: Mapping[str, str] = CONTENT, labels: Mapping[str, str] = {}, **metadata: Any
) -> dict[str, Any]:
    """The generated ConfigMap, with the labels that the service gives it, and further ones."""
    ours = {"app.kubernetes.io/name": "kubernaut", "app.kubernetes.io/component": "dynamic-toolsets"}
    meta = {"name": CONFIG_MAP, "namespace": namespace, "labels": {**ours, **labels}, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(data)}


@dataclass
class Answer:
    """What kubectl made of it."""

    ok: bool
    out: str
    error: str

    @property
    def denied(self) -> bool:
        """Whether the guard refused, and told the way to do it right."""
        return not self.ok and "only the service writes it" in self.error and names.OVERRIDES in self.error


@dataclass
class Actor:
    """Somebody with a kubeconfig."""

    kubeconfig: Path
    user: str

    def __call__(self, *arguments: str, input: object = None, editor: str = "") -> Answer:  # noqa: A002
        """Runs kubectl as this one; `input` is an object or text."""
        done = subprocess.run(
            [str(part("control-plane") / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=input if isinstance(input, str | None) else json.dumps(input),
            env={**os.environ, "KUBE_EDITOR": editor},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(done.returncode == 0, done.stdout, done.stderr)

    def http(self, method: str, path: str, body: bytes, content_type: str) -> requests.Response:
        """One bare request, as a client of one's own would send it."""
        with self.session() as send:
            return send(method, path, body, content_type)

    @contextmanager
    def session(self) -> Iterator[Callable[[str, str, bytes, str], requests.Response]]:
        """Such requests over one connection."""
        config = json.loads(self.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        with tempfile.NamedTemporaryFile() as ca, requests.Session() as session:
            ca.write(base64.b64decode(cluster["certificate-authority-data"]))
            ca.flush()
            session.trust_env, session.verify = False, ca.name
            session.headers["Authorization"] = f"Bearer {user['token']}"

            def send(method: str, path: str, body: bytes, content_type: str) -> requests.Response:
                headers = {"Content-Type": content_type}
                return session.request(
                    method, cluster["server"] + path, data=body, headers=headers, timeout=30
                )

            yield send


@dataclass
class Webhook:
    """One process of the guard."""

    listen: str
    log: Path
    process: "subprocess.Popen[bytes]"

    def get(self, path: str) -> tuple[int, str]:
        """A GET whose certificate nobody looks at: status and body; 0 when nothing answers."""
        with suppress(OSError, HTTPException):
            connection = HTTPSConnection(self.listen, timeout=5, context=_trusting())
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()
        return 0, ""

    def ready(self) -> bool:
        """What /ready says."""
        return self.get("/ready")[0] == 200

    def metric(self, line: str) -> float:
        """The value of one line of the metrics; 0 where it is not there."""
        rows = [row for row in self.get("/metrics")[1].splitlines() if row.rpartition(" ")[0] == line]
        return float(rows[0].rpartition(" ")[2]) if rows else 0.0

    def end(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """At once, and its worker too."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Guarded:
    """A control plane of its own, guarded; who the service is, and who it is not."""

    plane: ControlPlane
    directory: Path
    mode: str = "webhook"
    webhooks: list[Webhook] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    kubeconfig: Path | None = None
    """Whose rights the webhook has; the admin's where it is not said."""

    def __post_init__(self) -> None:
        rules = [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        ]
        group = "rbac.authorization.k8s.io"
        accounts = [(OWN, ACCOUNT), ("elsewhere", ACCOUNT), ("elsewhere", "stranger"), ("elsewhere", "sre")]
        role = {"apiVersion": f"{group}/v1", "metadata": {"name": "all-config-maps"}}
        for namespace in (OWN, "elsewhere"):
            self.plane.kubectl("create", "namespace", namespace)
        for namespace, name in accounts:
            self.plane.kubectl("create", "serviceaccount", name, "-n", namespace)
        subjects = [
            {"kind": "ServiceAccount", "name": name, "namespace": namespace} for namespace, name in accounts
        ]
        ref = {"apiGroup": group, "kind": "ClusterRole", "name": "all-config-maps"}
        self.plane.apply(
            {**role, "kind": "ClusterRole", "rules": rules},
            {**role, "kind": "ClusterRoleBinding", "roleRef": ref, "subjects": subjects},
        )
        self.service = self.account(OWN, ACCOUNT)
        self.namesake = self.account("elsewhere", ACCOUNT)
        self.stranger = self.account("elsewhere", "stranger")
        self.trusted = self.account("elsewhere", "sre")
        self.masters = Actor(self.plane.kubeconfig, "admin")

    def account(self, namespace: str, name: str) -> Actor:
        """A service account as an actor, by a real token of its own."""
        user = f"system:serviceaccount:{namespace}:{name}"
        return Actor(self.plane.kubeconfig_of(namespace, name), user)

    def start(self, mode: str = "", **config: Any) -> None:
        """Guards, in this mode and with this configuration."""
        self.stop()
        self.mode = mode or self.mode
        self.config = {"trusted_users": [self.trusted.user], **config}
        if self.mode in {"policy", "both"}:
            self.apply_policy()
        if self.mode in {"webhook", "both"}:
            self.serve("--register", "url")
        probe = "default"
        create = ("create", "--dry-run=server", "-f", "-")
        enforced = self.config.get("enforce", True)

        def there() -> bool:
            # What was in force before still is for a moment: API servers hear of a change by a watch.
            answer = self.stranger(*create, input=generated(probe))
            return "only the service writes it" in answer.error and answer.ok is not enforced

        until(there, "the guard is there, as it should be")

    def serve(self, *arguments: str, listen: str = "", wait: bool = True) -> Webhook:
        """Starts one webhook."""
        listen = listen or free_address()
        file = self.directory / "guard.yaml"
        file.write_text(yaml.safe_dump({"guard": self.config}))
        log = self.directory / f"guard-{listen.rpartition(':')[2]}.log"
        env = {"POD_NAMESPACE": OWN, "KUBECONFIG": str(self.kubeconfig or self.plane.kubeconfig)}
        with log.open("ab") as output:
            process = subprocess.Popen(
                [COMMAND, "webhook", "--config", str(file), "--listen", listen, *arguments],
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        webhook = Webhook(listen, log, process)
        self.webhooks.append(webhook)
        if wait:
            until(lambda: webhook.ready() and webhook.metric("toolset_guard_trusted"), f"ready; see {log}")
        return webhook

    def apply_policy(self) -> None:
        """The policy of the chart, with the values that the configuration would give it."""
        policy, binding = yaml.safe_load_all(POLICY.read_text())
        variables = {variable["name"]: variable for variable in policy["spec"]["variables"]}
        variables["trustedUsers"]["expression"] = json.dumps(self.config.get("trusted_users", []))
        if accounts := self.config.get("service_accounts"):
            users = [f"system:serviceaccount:{account.replace('/', ':')}" for account in accounts]
            variables["writers"]["expression"] = json.dumps(users)
        if self.config.get("protect_delete"):
            policy["spec"]["matchConstraints"]["resourceRules"][0]["operations"].append("DELETE")
        if not self.config.get("enforce", True):
            binding["spec"]["validationActions"] = ["Warn", "Audit"]
        self.plane.apply(policy, binding)

    def stop(self) -> None:
        """Nobody guards any more."""
        for webhook in self.webhooks:
            with suppress(subprocess.TimeoutExpired):
                webhook.end()
            webhook.kill()
        self.webhooks.clear()
        kinds = (
            "validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings"
        )
        self.plane.kubectl("delete", kinds, "--all")

    def namespace(self, name: str, **content: Any) -> str:
        """A namespace with its generated ConfigMap, written by the service as it does."""
        self.plane.kubectl("create", "namespace", name)
        self.write(generated(name, **content))
        return name

    def write(self, obj: Mapping[str, Any]) -> Answer:
        """Server-side apply by the service, with its field manager."""
        flags = ("--server-side", "--force-conflicts", f"--field-manager={names.FIELD_MANAGER}")
        return self.service("apply", *flags, "-f", "-", input=obj)

    def read(self, namespace: str) -> dict[str, Any]:
        """The generated ConfigMap, managedFields and all; empty where there is none."""
        flags = ("--ignore-not-found", "-o", "json", "--show-managed-fields")
        text = self.plane.kubectl("get", "configmap", CONFIG_MAP, "-n", namespace, *flags)
        obj: dict[str, Any] = json.loads(text) if text else {}
        return obj


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def guarded(plane: ControlPlane, directory: Path, mode: str = "webhook") -> Iterator[Guarded]:
    """For fixtures: guarded in one mode, and nothing left running."""
    it = Guarded(plane, directory)
    try:
        it.start(mode)
        yield it
    finally:
        for webhook in it.webhooks:
            webhook.kill()
