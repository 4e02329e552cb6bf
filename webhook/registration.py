"""The ValidatingWebhookConfiguration that sends the API server here (API reference: admissionregistration).

Two entries. What strangers write is refused while nobody answers (``Fail``); what the service itself
writes, and what Kubernetes' controllers do, goes through then (``Ignore``): the service can always
write, and nothing gets stuck. Both match nothing but two names of ConfigMaps.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolset.names import GENERATED, OVERRIDES
from webhook.apiserver import ApiServer, JsonObject
from webhook.config import Config
from webhook.policy import Policy

log = logging.getLogger(__name__)

MANAGER = "kubernaut-toolset-webhook"

PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
OWNERS = "/apis/rbac.authorization.k8s.io/v1/clusterroles"

_NAME = "(request.operation == 'DELETE' ? oldObject : object).metadata.name"


@dataclass(frozen=True)
class Target:
    """Where the API server finds us: a Service, or a URL outside a cluster."""

    client: Mapping[str, Any]
    """``clientConfig`` without ``caBundle``."""
    host: str
    """The name that the certificate must bear."""
    probe: str
    """A URL that leads here as the API server's own way does."""
    own: bool = False
    """Whether the registration is this process' alone and goes with it."""


def entries(config: Config, policy: Policy, target: Target, bundle: bytes) -> list[JsonObject]:
    """The two entries, every field written out, so that what is registered can be compared."""
    writers, controllers = _listed(policy.writers), _listed(policy.controllers)
    by_service = (
        f"(request.userInfo.username in {controllers} || "
        f"({_NAME} == '{GENERATED}' && request.userInfo.username in {writers}))"
    )
    operations = ["CREATE", "UPDATE", *(["DELETE"] if config.protect_delete else [])]
    common: JsonObject = {
        "clientConfig": {**target.client, "caBundle": base64.b64encode(bundle).decode()},
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


class Registration:
    """Keeps the configuration as it should be."""

    def __init__(self, api: ApiServer, config: Config, policy: Policy, target: Target) -> None:
        self.target = target
        self._api = api
        self._config = config
        self._policy = policy
        self._path = f"{PATH}/{config.name}"

    def read(self) -> JsonObject | None:
        """What is registered, or None.

        Raises:
            ApiError: it cannot be read.
        """
        return self._api.get(self._path)

    def ensure(self, registered: JsonObject | None, bundle: bytes) -> JsonObject:
        """Writes it unless it is as it should be; returns what is registered then.

        Raises:
            ApiError: it cannot be written.
        """
        wanted = entries(self._config, self._policy, self.target, bundle)
        if registered is not None and _holds(registered, wanted):
            return registered
        metadata: JsonObject = {
            "name": self._config.name,
            "labels": {
                "app.kubernetes.io/name": "kubernaut",
                "app.kubernetes.io/component": "toolset-webhook",
            },
        }
        owner = None if self.target.own else self._owner()
        if owner:
            metadata["ownerReferences"] = [owner]
        written = self._api.apply(
            self._path,
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": metadata,
                "webhooks": wanted,
            },
            MANAGER,
        )
        log.info("%s %s", "registration put right:" if registered else "registered as", self._config.name)
        return written

    def withdraw(self) -> None:
        """Takes it back.

        Raises:
            ApiError: it is still there.
        """
        self._api.delete(self._path)
        log.info("registration %s removed", self._config.name)

    def _owner(self) -> JsonObject | None:
        """The chart's cluster-scoped object: who uninstalls takes the registration along."""
        role = self._api.get(f"{OWNERS}/{self._config.name}")
        if role is None:
            log.warning(
                "no ClusterRole %s: uninstalling would leave the registration behind", self._config.name
            )
            return None
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "name": self._config.name,
            "uid": role["metadata"]["uid"],
        }


def bundle_of(registered: JsonObject | None) -> bytes:
    """The ``caBundle`` that is registered; empty where entries differ, or there is none."""
    bundles = {
        entry.get("clientConfig", {}).get("caBundle") or ""
        for entry in (registered or {}).get("webhooks") or ()
        if entry.get("name", "").endswith(".toolset.kubernaut.io")
    }
    return base64.b64decode(bundles.pop()) if len(bundles) == 1 else b""


def _holds(registered: JsonObject, wanted: list[JsonObject]) -> bool:
    there = {entry.get("name"): entry for entry in registered.get("webhooks") or ()}
    return all(there.get(entry["name"]) == entry for entry in wanted)


def _listed(names: frozenset[str]) -> str:
    """A list in CEL, whose strings are escaped as JSON's are (CEL: Lexical structure)."""
    return json.dumps(sorted(names))
