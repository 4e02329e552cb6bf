"""What sends the API server here (API reference: admissionregistration.k8s.io/v1), and keeps it so.

The ValidatingWebhookConfiguration has two entries. What strangers write is refused while nobody answers
(``Fail``); what the service itself writes, and what Kubernetes' controllers do, goes through then
(``Ignore``): the service can always write, and nothing gets stuck. Both match nothing but two names of
ConfigMaps. The MutatingWebhookConfiguration, where the sidecar is injected, matches HolmesGPT's pods alone
and never keeps one from being made (``Ignore``).
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toolset.names import GENERATED, OVERRIDES
from webhook.apiserver import ApiServer, JsonObject
from webhook.config import Config
from webhook.inject import Injection
from webhook.policy import Policy

log = logging.getLogger(__name__)

MANAGER = "kubernaut-toolset-webhook"

REVIEWS = "/validate"
"""Where the guard is asked."""

PODS = "/mutate"
"""Where HolmesGPT's pods are brought."""

GROUP = "/apis/admissionregistration.k8s.io/v1"
PATH = f"{GROUP}/validatingwebhookconfigurations"
MUTATING = f"{GROUP}/mutatingwebhookconfigurations"
OWNERS = "/apis/rbac.authorization.k8s.io/v1/clusterroles"

_NAME = "(request.operation == 'DELETE' ? oldObject : object).metadata.name"


@dataclass(frozen=True)
class Target:
    """Where the API server finds us: a Service, or a URL outside a cluster."""

    service: Mapping[str, Any]
    """``clientConfig.service`` without its path; empty: by URL."""
    url: str
    """The server's URL, without a path."""
    host: str
    """The name that the certificate must bear."""
    own: bool = False
    """Whether the registration is this process' alone and goes with it."""

    @property
    def probe(self) -> str:
        """A URL that leads here as the API server's own way does."""
        return f"{self.url}/health"

    def client(self, path: str, bundle: bytes) -> JsonObject:
        """``clientConfig``."""
        way: JsonObject = (
            {"service": {**self.service, "path": path}} if self.service else {"url": self.url + path}
        )
        return {**way, "caBundle": base64.b64encode(bundle).decode()}


def guarding(config: Config, policy: Policy, target: Target, bundle: bytes) -> list[JsonObject]:
    """The guard's two entries, every field written out, so that what is registered can be compared."""
    writers, controllers = _listed(policy.writers), _listed(policy.controllers)
    by_service = (
        f"(request.userInfo.username in {controllers} || "
        f"({_NAME} == '{GENERATED}' && request.userInfo.username in {writers}))"
    )
    operations = ["CREATE", "UPDATE", *(["DELETE"] if config.protect_delete else [])]
    common: JsonObject = {
        "clientConfig": target.client(REVIEWS, bundle),
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["*"],
                "operations": operations,
                "resources": ["configmaps"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {},
        "objectSelector": {},
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": int(config.timeout.total_seconds()),
        "admissionReviewVersions": ["v1"],
    }
    named = {"name": "ours", "expression": f"{_NAME} in ['{GENERATED}', '{OVERRIDES}']"}
    return [
        {
            "name": "strangers.toolset.kubernaut.io",
            **common,
            "failurePolicy": config.failure_policy,
            "matchConditions": [named, {"name": "strangers", "expression": f"!{by_service}"}],
        },
        {
            "name": "service.toolset.kubernaut.io",
            **common,
            "failurePolicy": "Ignore",
            "matchConditions": [named, {"name": "service", "expression": by_service}],
        },
    ]


def injecting(config: Config, injection: Injection, target: Target, bundle: bytes) -> list[JsonObject]:
    """The injection's entry. Asked again where a later webhook changed the pod."""
    named = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": sorted(injection.namespaces)}
    return [
        {
            "name": "pods.toolset.kubernaut.io",
            "clientConfig": target.client(PODS, bundle),
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                    "scope": "Namespaced",
                }
            ],
            "namespaceSelector": {"matchExpressions": [named]},
            "objectSelector": {"matchLabels": dict(injection.labels)},
            "matchPolicy": "Equivalent",
            "sideEffects": "None",
            "timeoutSeconds": int(config.timeout.total_seconds()),
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
        }
    ]


@dataclass(frozen=True)
class _Configuration:
    """One of the two objects."""

    path: str
    kind: str
    owner: str
    """The ClusterRole that it goes with."""
    entries: Callable[[bytes], list[JsonObject]]


class Registration:
    """Keeps the configurations as they should be."""

    def __init__(
        self,
        api: ApiServer,
        config: Config,
        policy: Policy,
        target: Target,
        injection: Injection | None = None,
    ) -> None:
        self.target = target
        self._api = api
        self._config = config
        self._wanted = [
            _Configuration(
                f"{PATH}/{config.name}",
                "ValidatingWebhookConfiguration",
                config.name,
                lambda bundle: guarding(config, policy, target, bundle),
            )
        ]
        if injection:
            self._wanted.append(
                _Configuration(
                    f"{MUTATING}/{config.name}",
                    "MutatingWebhookConfiguration",
                    # One of its own, so that it goes when the injection is switched off.
                    f"{config.name}-injection",
                    lambda bundle: injecting(config, injection, target, bundle),
                )
            )

    def read(self) -> list[JsonObject]:
        """What is registered.

        Raises:
            ApiError: it cannot be read.
        """
        return [found for wanted in self._wanted if (found := self._api.get(wanted.path))]

    def complete(self, registered: list[JsonObject]) -> bool:
        """Whether nothing is missing."""
        return len(registered) == len(self._wanted)

    def ensure(self, registered: list[JsonObject], bundle: bytes) -> list[JsonObject]:
        """Writes what is not as it should be; returns what is registered then.

        Raises:
            ApiError: it cannot be written.
        """
        there = {one.get("kind"): one for one in registered}
        return [self._ensure(wanted, there.get(wanted.kind), bundle) for wanted in self._wanted]

    def _ensure(self, wanted: _Configuration, there: JsonObject | None, bundle: bytes) -> JsonObject:
        entries = wanted.entries(bundle)
        if there is not None and _holds(there, entries):
            return there
        metadata: JsonObject = {
            "name": self._config.name,
            "labels": {
                "app.kubernetes.io/name": "kubernaut",
                "app.kubernetes.io/component": "toolset-webhook",
            },
        }
        owner = None if self.target.own else self._owner(wanted.owner)
        if owner:
            metadata["ownerReferences"] = [owner]
        written = self._api.apply(
            wanted.path,
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": wanted.kind,
                "metadata": metadata,
                "webhooks": entries,
            },
            MANAGER,
        )
        log.info("%s %s %s", wanted.kind, self._config.name, "put right" if there else "registered")
        return written

    def withdraw(self) -> None:
        """Takes it back.

        Raises:
            ApiError: it is still there.
        """
        for wanted in self._wanted:
            self._api.delete(wanted.path)
        log.info("registration %s removed", self._config.name)

    def _owner(self, name: str) -> JsonObject | None:
        """The chart's cluster-scoped object: who uninstalls takes the registration along."""
        role = self._api.get(f"{OWNERS}/{name}")
        if role is None:
            log.warning("no ClusterRole %s: uninstalling would leave the registration behind", name)
            return None
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "name": name,
            "uid": role["metadata"]["uid"],
        }


def bundle_of(registered: Iterable[JsonObject]) -> bytes:
    """The ``caBundle`` that is registered; empty where entries differ, or there is none."""
    bundles = {
        entry.get("clientConfig", {}).get("caBundle") or ""
        for one in registered
        for entry in one.get("webhooks") or ()
        if entry.get("name", "").endswith(".toolset.kubernaut.io")
    }
    return base64.b64decode(bundles.pop()) if len(bundles) == 1 else b""


def _holds(registered: JsonObject, wanted: list[JsonObject]) -> bool:
    there = {entry.get("name"): entry for entry in registered.get("webhooks") or ()}
    return all(there.get(entry["name"]) == entry for entry in wanted)


def _listed(names: frozenset[str]) -> str:
    """A list in CEL, whose strings are escaped as JSON's are (CEL: Lexical structure)."""
    return json.dumps(sorted(names))
