"""One step of the runbook's decision tree each: what is looked at, and what it shows. Reads only."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from sidecar.cluster import Cluster, Resource
from sidecar.config import read_config
from sidecar.connection import ClusterError, JsonObject, NotFoundError
from sidecar.leader import LEASE
from toolset import catalogue
from toolset.names import CONFIG, GENERATED
from toolset.yaml_source import YamlError

NAME = "kubernaut-dynamic-toolsets"
GUARD = "kubernaut-toolset-webhook"
ACCOUNT = "kubernaut-service-discovery"
MANIFEST = "kubectl apply -f deploy/dynamic-toolset-deployment.yaml"

LEASE_SECONDS = 60
"""A Lease that was not renewed for so long has no holder any more: it is renewed every 2 s."""

NEEDS = (("list", "services"), ("watch", "services"), ("list", "configmaps"), ("create", "configmaps"))
"""What the account cannot work without, as verbs and resources."""


@dataclass(frozen=True)
class Finding:
    """What a step shows; ``good`` is None where it could not be looked at, or does not apply."""

    good: bool | None
    evidence: str
    scenario: str = ""
    cure: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """Where the service is at home."""

    cluster: Cluster
    namespace: str

    def pods(self, component: str) -> list[JsonObject]:
        """Its pods of a component."""
        labels = {"labelSelector": f"app.kubernetes.io/component={component}"}
        return list(self.cluster.objects(Resource("pods", namespace=self.namespace, selectors=labels)))

    def tools(self, namespace: str) -> list[Mapping[str, Any]] | None:
        """What ``toolset.json`` of a namespace holds; None where there is none that can be read."""
        obj = self.cluster.config_map(namespace, GENERATED)
        try:
            tools = json.loads((obj or {})["data"]["toolset.json"])["tools"]
        except (KeyError, TypeError, ValueError):
            return None
        return [tool for tool in tools if isinstance(tool, Mapping)]

    def typed(self, command: str) -> str:
        """A kubectl command in the service's namespace."""
        return f"kubectl -n {self.namespace} {command}"


Look = Callable[[Site], Finding]


def pods(site: Site) -> Finding:
    """Is a pod running? And if not, why: what its containers wait for, or ended with."""
    found = site.pods("dynamic-toolsets")
    ready = [pod for pod in found if _is(pod, "Ready")]
    reasons = sorted({reason for pod in found for reason in _reasons(pod)})
    told = f"{len(ready)} of {len(found)} pods are ready" + (f": {', '.join(reasons)}" if reasons else "")
    if ready and "OOMKilled" not in reasons:
        return Finding(True, told)
    if not found:
        return Finding(
            False,
            "there is no pod",
            "scenario 3",
            (site.typed(f"scale deployment {NAME} --replicas=2"), MANIFEST),
        )
    cure = [site.typed(f"logs deployment/{NAME} --previous"), site.typed(f"describe pod {_name(found[0])}")]
    if "OOMKilled" in reasons:
        path = "/spec/template/spec/containers/0/resources/limits/memory"
        patch = json.dumps([{"op": "replace", "path": path, "value": "2Gi"}])
        cure = [site.typed(f"patch deployment {NAME} --type=json -p='{patch}'")]
    return Finding(False, told, "scenario 3", tuple(cure))


def permissions(site: Site) -> Finding:
    """May the service's account do what it cannot work without?"""
    user = f"system:serviceaccount:{site.namespace}:{ACCOUNT}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{site.namespace}", "system:authenticated"]
    refused = []
    for verb, resource in NEEDS:
        wanted = {"verb": verb, "resource": resource}
        spec = {"resourceAttributes": wanted, "user": user, "groups": groups}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        if site.cluster.username() == user:
            path, spec = path.replace("subject", "selfsubject"), {"resourceAttributes": wanted}
        review = site.cluster.json("POST", path, body={"spec": spec})
        if not review["status"].get("allowed"):
            refused.append(f"{verb} {resource}")
    if refused:
        return Finding(False, f"{ACCOUNT} may not {', '.join(refused)}", "scenario 1", (MANIFEST,))
    return Finding(True, f"{ACCOUNT} may list, watch and write what it must")


def configuration(site: Site) -> Finding:
    """Is the configuration one that the service takes?"""
    obj = site.cluster.config_map(site.namespace, CONFIG)
    if obj is None:
        told = f"there is no {CONFIG}: the service makes it at its start"
        return Finding(False, told, "scenario 3", (site.typed(f"rollout restart deployment/{NAME}"),))
    text = str((obj.get("data") or {}).get("config.yaml") or "")
    try:
        config = read_config(text, frozenset(catalogue.bundled()))
    except YamlError as error:
        return Finding(False, f"refused: {error}", "scenario 3", (site.typed(f"edit configmap {CONFIG}"),))
    if not config.enabled:
        cure = (site.typed(f"edit configmap {CONFIG}"),)
        return Finding(False, "service_discovery.enabled is false", "scenario 1", cure)
    return Finding(True, f"valid; namespaces: {', '.join(config.namespaces) or 'all'}")


def leader(site: Site) -> Finding:
    """Does a replica write?"""
    lease = site.cluster.lease(site.namespace, LEASE)
    spec = (lease or {}).get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    restart = (site.typed(f"rollout restart deployment/{NAME}"),)
    if not holder or not renewed:
        return Finding(False, f"nobody holds the Lease {LEASE}", "scenario 2", restart)
    age = (datetime.now(UTC) - datetime.fromisoformat(renewed)).total_seconds()
    if age > LEASE_SECONDS:
        return Finding(False, f"{holder} did not renew its Lease for {age:.0f} s", "scenario 5", restart)
    return Finding(True, f"{holder} writes")


def discovering(site: Site) -> Finding:
    """Is anything discovered?"""
    tools = site.tools(site.namespace)
    if tools is None:
        cure = (site.typed(f"logs deployment/{NAME} --tail=100"),)
        return Finding(False, f"there is no {site.namespace}/{GENERATED} to read", "scenario 2", cure)
    if not tools:
        looks = (site.typed(f"logs deployment/{NAME} --tail=100"), "dynamic-toolset discover")
        return Finding(False, "no Services are discovered", "scenario 1", looks)
    return Finding(True, f"{len(tools)} Services are discovered")


def written(site: Site) -> Finding:
    """Has each namespace its ConfigMap, with what was discovered there?"""
    whole = site.tools(site.namespace) or []
    namespaces = sorted({str(tool.get("namespace")) for tool in whole} - {site.namespace})
    wrong = []
    for namespace in namespaces:
        expected = {tool.get("name") for tool in whole if tool.get("namespace") == namespace}
        if {tool.get("name") for tool in site.tools(namespace) or ()} != expected:
            wrong.append(namespace)
    if wrong:
        cure = (
            f"kubectl describe namespace {wrong[0]}",
            site.typed(f"logs deployment/{NAME} | grep -i configmap"),
            f"kubectl delete configmap {GENERATED} -n {wrong[0]}",
        )
        told = f"missing or not as it should be in {', '.join(wrong)}"
        return Finding(False, told, "scenario 2", cure)
    return Finding(True, f"{len(namespaces) + 1} ConfigMaps are as they should be")


def current(site: Site) -> Finding:
    """Does every Service that the toolset names still exist?"""
    tools = site.tools(site.namespace) or []
    there = {_key(it["metadata"]) for it in site.cluster.objects(Resource("services"))}
    gone = sorted({_key(it) for it in tools} - there)
    if gone:
        cure = (site.typed(f"rollout restart deployment/{NAME}"),)
        return Finding(False, f"no such Service any more: {', '.join(gone)}", "scenario 5", cure)
    failing = sorted(_key(it) for it in tools if it.get("status") == "unhealthy")
    return Finding(True, f"all of them are there; unhealthy: {', '.join(failing) or 'none'}")


def guard(site: Site) -> Finding:
    """Does a guard answer, with a certificate that the API server trusts?"""
    path = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{GUARD}"
    try:
        registered = site.cluster.json("GET", path)
    except NotFoundError:
        return Finding(None, "no webhook is registered: anybody whom RBAC lets may write, drift is repaired")
    ends = min(_ends(registered), default=None)
    if ends is not None and ends < datetime.now(UTC):
        cure = (site.typed(f"rollout restart deployment/{GUARD}"),)
        return Finding(False, f"its authority ended at {ends:%Y-%m-%d %H:%M}", "the guard is down", cure)
    until = f"; its authority is good until {ends:%Y-%m-%d}" if ends else ""
    found = site.pods("toolset-webhook")
    if not any(_is(pod, "Ready") for pod in found) and "service" in registered["webhooks"][0]["clientConfig"]:
        cure = (site.typed("describe pod -l app.kubernetes.io/component=toolset-webhook"),)
        return Finding(False, f"none of {len(found)} pods is ready{until}", "the guard is down", cure)
    return Finding(True, f"registered{until}")


def holmesgpt(site: Site) -> Finding:
    """Does a HolmesGPT read what is generated?"""
    readers = []
    for pod in site.cluster.objects(Resource("pods")):
        spec = pod["spec"]
        sidecar = any(it["name"] == "dynamic-toolset" for it in spec.get("initContainers") or ())
        mounts = any((it.get("configMap") or {}).get("name") == GENERATED for it in spec.get("volumes") or ())
        if sidecar or mounts:
            readers.append(f"{_key(pod['metadata'])} by {'its sidecar' if sidecar else 'a mount'}")
    if not readers:
        return Finding(None, "no pod has the sidecar or mounts the ConfigMap: see docs/install.md")
    return Finding(True, f"read by {', '.join(sorted(readers))}")


STEPS: Sequence[tuple[str, Look]] = (
    ("pod", pods),
    ("permissions", permissions),
    ("configuration", configuration),
    ("leader", leader),
    ("discovering", discovering),
    ("configmaps", written),
    ("data", current),
    ("guard", guard),
    ("holmesgpt", holmesgpt),
)


def walk(site: Site) -> Iterator[tuple[str, Finding]]:
    """The tree from its root; what may not be looked at is said and passed."""
    for name, look in STEPS:
        try:
            yield name, look(site)
        except ClusterError as error:
            yield name, Finding(None, f"not looked at: {error}")


def _is(pod: JsonObject, condition: str) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(it["type"] == condition and it["status"] == "True" for it in conditions)


def _reasons(pod: JsonObject) -> Iterator[str]:
    status = pod.get("status") or {}
    if status.get("phase") != "Running":
        yield str(status.get("phase"))
    for container in status.get("containerStatuses") or ():
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            for kind in ("waiting", "terminated"):
                if reason := (state.get(kind) or {}).get("reason"):
                    yield str(reason)


def _key(named: Mapping[str, Any]) -> str:
    return f"{named.get('namespace')}/{named.get('name')}"


def _name(pod: JsonObject) -> str:
    return str(pod["metadata"]["name"])


def _ends(registered: JsonObject) -> Iterator[datetime]:
    """When the authorities end; of several that are trusted, the last one counts for each webhook."""
    for webhook in registered.get("webhooks") or ():
        bundle = base64.b64decode(webhook["clientConfig"].get("caBundle") or "")
        if bundle:
            yield max(it.not_valid_after_utc for it in x509.load_pem_x509_certificates(bundle))
