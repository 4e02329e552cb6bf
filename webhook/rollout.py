"""Restarts HolmesGPT where its pods are older than the injection, or still have what was injected.

A pod changes only when it is made anew. As ``kubectl rollout restart`` does, an annotation of the
Deployment's template is changed; here its value names the ReplicaSet that is to go, so that several
replicas of the webhook, or one that starts again, ask for one and the same thing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from webhook.apiserver import ApiServer, JsonObject
from webhook.inject import Injection, injected, outdated

log = logging.getLogger(__name__)

RESTARTED = "kubernaut.io/restarted-in-place-of"
"""Annotation of a Deployment's template."""

MANAGER = "kubernaut-toolset-webhook"


class Rollout:
    """Restarts the Deployments of HolmesGPT's pods."""

    def __init__(self, api: ApiServer, injection: Injection) -> None:
        self._api = api
        self._injection = injection
        self._done = False

    def restart_once(self, now: datetime) -> None:
        """Restarts those whose pods are older than this and lack the sidecar, or have an older one; once.

        What is wrong with later ones would be so again: restarting them would never end.

        Raises:
            ApiError: not all could be restarted.
        """
        if self._done:
            return
        self._restart(lambda pod: _created(pod) <= now and outdated(pod, self._injection))
        self._done = True

    def undo(self) -> None:
        """Restarts those whose pods were injected.

        Raises:
            ApiError: not all could be restarted.
        """
        self._restart(lambda pod: bool(injected(pod)))

    def _restart(self, chosen: Callable[[JsonObject], bool]) -> None:
        for namespace in self._injection.namespaces:
            replica_sets = {
                name for pod in self._pods(namespace) if chosen(pod) and (name := _owner(pod, "ReplicaSet"))
            }
            for name in sorted(replica_sets):
                self._replace(namespace, name)

    def _pods(self, namespace: str) -> list[JsonObject]:
        selector = quote(",".join(f"{key}={value}" for key, value in self._injection.labels.items()))
        found = self._api.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}") or {}
        return [
            pod
            for pod in found.get("items") or ()
            if "deletionTimestamp" not in pod["metadata"]
            and (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}
        ]

    def _replace(self, namespace: str, replica_set: str) -> None:
        group = f"/apis/apps/v1/namespaces/{namespace}"
        found = self._api.get(f"{group}/replicasets/{replica_set}")
        deployment = found and _owner(found, "Deployment")
        if not found or not deployment:
            log.warning(
                "pods of ReplicaSet %s/%s are of no Deployment: restart them by hand", namespace, replica_set
            )
            return
        annotations = {RESTARTED: found["metadata"]["uid"]}
        self._api.apply(
            f"{group}/deployments/{deployment}",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": deployment},
                "spec": {"template": {"metadata": {"annotations": annotations}}},
            },
            MANAGER,
        )
        log.info("deployment %s/%s is restarted in place of %s", namespace, deployment, replica_set)


def _owner(obj: JsonObject, kind: str) -> str:
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner["name"] for owner in owners if owner["kind"] == kind and owner.get("controller")), "")


def _created(pod: JsonObject) -> datetime:
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
