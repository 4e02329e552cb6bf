"""What is read of the API server, and written to it: the only room that knows its paths.

How requests go there is the matter of :mod:`sidecar.connection`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sidecar.conditions import REPORTER, condition_of, event_about
from sidecar.connection import (
    Connection,
    GoneError,
    JsonObject,
    NotFoundError,
)
from toolset.service import InvalidServiceError, Service

log = logging.getLogger(__name__)

FIELD_MANAGER = REPORTER
"""The manager that ``.metadata.managedFields`` names for what we write; the runbook prints it."""

PAGE = 500
"""Objects a list request asks for at once; what kubectl uses."""

MAX_RESTARTS = 3
"""How often a list starts over because its pages expired (410 Gone)."""

SERVICE_NAME = "kubernetes.io/service-name"
"""The label of an EndpointSlice that says whose it is."""

MAX_SELECTED = 100
"""Services whose EndpointSlices are asked for by name; a longer selector may not fit into a URL."""

WRITE_SECONDS = (2.0, 3.0)
"""For a write under the Lease: over before another replica may start to write."""


@dataclass(frozen=True)
class Resource:
    """Objects of one kind to list and to watch: those of a namespace, or of all."""

    plural: str
    """As the API's paths and RBAC name it, such as ``configmaps``."""
    group: str = ""
    """``group/version``; empty for the core group's v1."""
    namespace: str = ""
    """Empty for all namespaces."""
    selectors: Mapping[str, str] = field(default_factory=dict)
    """``fieldSelector`` and ``labelSelector`` (API concepts: Field selectors)."""

    @property
    def path(self) -> str:
        """The path of the list."""
        root = f"/apis/{self.group}" if self.group else "/api/v1"
        scope = f"/namespaces/{quote(self.namespace)}" if self.namespace else ""
        return f"{root}{scope}/{self.plural}"

    def __str__(self) -> str:
        """As messages call them, such as ``configmaps (metadata.name=x) of namespace y``."""
        where = f"namespace {self.namespace}" if self.namespace else "all namespaces"
        only = f" ({', '.join(self.selectors.values()):.100})" if self.selectors else ""
        return f"{self.plural}{only} of {where}"

    @classmethod
    def named(cls, plural: str, name: str, namespace: str = "", group: str = "") -> Resource:
        """Those of one name; RBAC may grant them by ``resourceNames``."""
        return cls(plural, group, namespace, {"fieldSelector": f"metadata.name={name}"})


class Cluster(Connection):
    """One API server, as one identity."""

    def pages(self, resource: Resource) -> Iterator[tuple[list[JsonObject], str]]:
        """Pages of one consistent list, each with the version to watch from.

        When the pages expire midway it starts over, and repeats objects.

        Raises:
            ClusterError: the list is not complete; what was yielded before is then worth nothing.
        """
        restarts = 0
        token = ""
        while True:
            query = {**resource.selectors, "limit": str(PAGE), "continue": token}
            try:
                page = self.json("GET", resource.path, query=query)
            except GoneError:
                restarts += 1
                if restarts > MAX_RESTARTS:
                    raise
                token = ""
                continue
            metadata = page.get("metadata") or {}
            yield page.get("items") or [], metadata.get("resourceVersion") or ""
            token = metadata.get("continue") or ""
            if not token:
                return

    def objects(self, resource: Resource) -> Iterator[JsonObject]:
        """All of them; raises as :meth:`pages`."""
        for items, _ in self.pages(resource):
            yield from items

    def services(self, namespaces: Sequence[str] = ()) -> Iterator[Service]:
        """The Services of the given namespaces, or of all.

        Raises:
            ClusterError: the list is not complete; what was yielded before is then worth nothing.
        """
        for namespace in namespaces or ("",):
            for obj in self.objects(Resource("services", namespace=namespace)):
                service = understood(obj)
                if service is not None:
                    yield service

    def config_map(self, namespace: str, name: str) -> JsonObject | None:
        """One ConfigMap, or None where there is none.

        Raises:
            ClusterError: it could not be read.
        """
        try:
            return self.json("GET", _path(namespace, "configmaps", name))
        except NotFoundError:
            return None

    def endpoint_slices(self, namespace: str, service: str) -> list[JsonObject]:
        """The EndpointSlices of one Service.

        Raises:
            ClusterError: they could not be read.
        """
        return list(self.objects(slices_of([service], namespace)))

    def service_patterns(self, namespaces: Sequence[str] = ()) -> list[JsonObject]:
        """The ServicePatterns of the given namespaces, or of all; none where the resource does not exist.

        Raises:
            ClusterError: the list is not complete.
        """
        try:
            return [obj for name in namespaces or ("",) for obj in self.objects(service_patterns_of(name))]
        except NotFoundError:
            return []

    def tell_service_pattern(self, obj: Mapping[str, Any], problem: str) -> None:
        """Sets the condition Accepted of a ServicePattern; a refusal that is new is an Event besides.

        Nothing is sent when the condition says so already.

        Raises:
            ClusterError: it could not be told.
        """
        condition = condition_of(obj, problem)
        if condition is None:
            return
        metadata = obj["metadata"]
        self.json(
            "PATCH",
            f"{service_patterns_of(metadata['namespace']).path}/{quote(metadata['name'])}/status",
            query={"fieldManager": FIELD_MANAGER},
            body={"status": {"conditions": [condition]}},
            content_type="application/merge-patch+json",
        )
        if problem:
            about = {"apiVersion": "kubernaut.io/v1", "kind": "ServicePattern", **obj}
            self.create_event(event_about(about, "Warning", condition["reason"], condition["message"]))

    def create_event(self, event: Mapping[str, Any]) -> JsonObject:
        """Creates an Event (API reference: Event v1 core).

        Raises:
            ClusterError: it was not created.
        """
        return self.json("POST", _path(event["metadata"]["namespace"], "events"), body=event)

    def patch_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> JsonObject:
        """Changes fields of an Event, such as its count.

        Raises:
            ClusterError: it was not changed; it may be gone, the API server keeps Events for an hour.
        """
        return self.json(
            "PATCH",
            _path(namespace, "events", name),
            body=changes,
            content_type="application/merge-patch+json",
        )

    def apply_config_map(self, obj: Mapping[str, Any]) -> JsonObject:
        """Server-side apply: makes the given fields ours, keeps those of others.

        Kubernetes: Server-Side Apply. ``force`` takes a field back from whoever changed it.

        Raises:
            ClusterError: it was not written.
        """
        metadata = obj["metadata"]
        return self.json(
            "PATCH",
            _path(metadata["namespace"], "configmaps", metadata["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=obj,
            content_type="application/apply-patch+yaml",
            timeout=WRITE_SECONDS,
        )

    def delete_config_map(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        """Deletes exactly the object that was read: not one that somebody has changed since.

        Raises:
            ClusterError: it was not deleted.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        self.json(
            "DELETE",
            _path(namespace, "configmaps", name),
            body={"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions},
            timeout=WRITE_SECONDS,
        )

    def lease(self, namespace: str, name: str) -> JsonObject | None:
        """A Lease (API reference: Lease v1 coordination.k8s.io), or None where there is none.

        Raises:
            ClusterError: it could not be read.
        """
        try:
            return self.json("GET", _lease(namespace, name), timeout=WRITE_SECONDS)
        except NotFoundError:
            return None

    def write_lease(self, lease: JsonObject) -> JsonObject:
        """Creates a Lease, or replaces the one of exactly its ``resourceVersion``.

        Raises:
            ConflictError: somebody was faster.
            ClusterError: it was not written.
        """
        metadata = lease["metadata"]
        new = "resourceVersion" not in metadata
        path = _lease(metadata["namespace"], "" if new else metadata["name"])
        return self.json("POST" if new else "PUT", path, body=lease, timeout=WRITE_SECONDS)

    def username(self) -> str:
        """Who the API server takes us for (API reference: SelfSubjectReview).

        Raises:
            ClusterError: it does not say; servers before Kubernetes 1.28 do not know the question.
        """
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        review = self.json("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
        return str(review["status"]["userInfo"]["username"])


def understood(obj: JsonObject) -> Service | None:
    """The Service that an object of the API server describes; what is not understood is told."""
    try:
        return Service.from_object(obj)
    except InvalidServiceError as error:
        log.warning("a Service of the API server is not understood and left out: %s", error)
        return None


def slices_of(services: Sequence[str], namespace: str = "") -> Resource:
    """The EndpointSlices of Services of these names; all there are when these are many."""
    selector = f"{SERVICE_NAME} in ({','.join(services)})" if len(services) <= MAX_SELECTED else SERVICE_NAME
    return Resource("endpointslices", "discovery.k8s.io/v1", namespace, {"labelSelector": selector})


def service_patterns_of(namespace: str) -> Resource:
    """The ServicePatterns of a namespace, or of all."""
    return Resource("servicepatterns", "kubernaut.io/v1", namespace)


def _lease(namespace: str, name: str) -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"
    return f"{path}/{quote(name)}" if name else path


def _path(namespace: str, resource: str, name: str = "") -> str:
    path = Resource(resource, namespace=namespace).path
    return f"{path}/{quote(name)}" if name else path
