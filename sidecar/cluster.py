"""The Kubernetes API server: the only room that speaks to it.

Requests go through the official client's connection (its authentication, token refresh, TLS and
proxies) but not through its models: of a Service only a few fields are needed, and 10,000 of them as
models take five times the memory (``docs/performance.md``).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import kubernetes.client
import kubernetes.config
import urllib3

from sidecar.conditions import condition_of, event_about
from toolset.service import InvalidServiceError, Service

log = logging.getLogger(__name__)

FIELD_MANAGER = "kubernaut-dynamic-toolsets"
"""The manager that ``.metadata.managedFields`` names for what we write; the runbook prints it."""

PAGE = 500
"""Objects a list request asks for at once; what kubectl uses."""

TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and between two reads. Without them a half-open connection hangs for ever."""

MAX_RESTARTS = 3
"""How often a list starts over because its pages expired (410 Gone)."""

JsonObject = dict[str, Any]


class ClusterError(Exception):
    """The API server could not be asked, or said no; the message says what was tried and the cure."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ForbiddenError(ClusterError):
    """401 or 403: who we are may not do that."""


class NotFoundError(ClusterError):
    """404."""


class ConflictError(ClusterError):
    """409: somebody was faster."""


class GoneError(ClusterError):
    """410: the pages of a list, or the version of a watch, are too old."""


_ERRORS = {401: ForbiddenError, 403: ForbiddenError, 404: NotFoundError, 409: ConflictError, 410: GoneError}


class Cluster:
    """One API server, as one identity; connected to when it is first needed.

    The cluster of a kubeconfig; without one that of the pod; else that of ``~/.kube/config``.
    """

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._connected: kubernetes.client.ApiClient | None = None
        # Two processes must not share a connection, and gunicorn forks its worker.
        os.register_at_fork(before=self.close)

    @property
    def server(self) -> str:
        """The API server's URL.

        Raises:
            ClusterError: there is no usable configuration.
        """
        return str(self._client.configuration.host)

    @property
    def _client(self) -> kubernetes.client.ApiClient:
        """Tried anew until it succeeds: in a pod the account's token may come late."""
        if self._connected is None:
            self._connected = kubernetes.client.ApiClient(self._configuration())
        return self._connected

    def _configuration(self) -> kubernetes.client.Configuration:
        configuration = kubernetes.client.Configuration()
        try:
            if not self._kubeconfig and not self._context and "KUBERNETES_SERVICE_HOST" in os.environ:
                kubernetes.config.load_incluster_config(client_configuration=configuration)
            else:
                kubernetes.config.load_kube_config(
                    config_file=self._kubeconfig or None,
                    context=self._context or None,
                    client_configuration=configuration,
                    persist_config=False,
                )
        # The client raises whatever its parsers do; a person's file can be wrong in any way.
        except Exception as error:
            source = (
                self._kubeconfig
                or os.environ.get("KUBECONFIG")
                or "~/.kube/config or the pod's service account"
            )
            raise ClusterError(
                f"no usable cluster configuration in {source}: {error}; give --kubeconfig FILE and "
                "--context NAME, or run without a cluster on manifests: --from DIR"
            ) from error
        # A retry is the controller's decision: it knows what it was for, and tells.
        configuration.retries = False
        return configuration

    def close(self) -> None:
        """Closes idle connections; the next request opens a new one."""
        if self._connected is not None:
            self._connected.rest_client.close()

    def services(self, namespaces: Sequence[str] = ()) -> Iterator[Service]:
        """The Services of the given namespaces, or of all.

        Raises:
            ClusterError: the list is not complete; what was yielded before is then worth nothing.
        """
        for obj in self._list("services", namespaces):
            try:
                yield Service.from_object(obj)
            except InvalidServiceError as error:
                log.warning("a Service of the API server is not understood and left out: %s", error)

    def config_maps(self, name: str, namespaces: Sequence[str] = ()) -> list[JsonObject]:
        """Every ConfigMap of one name.

        Raises:
            ClusterError: the list is not complete.
        """
        return list(self._list("configmaps", namespaces, fieldSelector=f"metadata.name={name}"))

    def config_map(self, namespace: str, name: str) -> JsonObject | None:
        """One ConfigMap, or None where there is none.

        Raises:
            ClusterError: it could not be read.
        """
        try:
            return self._json("GET", _path(namespace, "configmaps", name))
        except NotFoundError:
            return None

    def endpoint_slices(self, namespace: str, service: str) -> list[JsonObject]:
        """The EndpointSlices of one Service.

        Raises:
            ClusterError: they could not be read.
        """
        path = f"/apis/discovery.k8s.io/v1/namespaces/{quote(namespace)}/endpointslices"
        return list(self._list_pages(path, {"labelSelector": f"kubernetes.io/service-name={service}"}))

    def service_patterns(self, namespaces: Sequence[str] = ()) -> list[JsonObject]:
        """The ServicePatterns of the given namespaces, or of all; none where the resource does not exist.

        Raises:
            ClusterError: the list is not complete.
        """
        try:
            return [
                obj for namespace in namespaces or ("",) for obj in self._list_pages(_pattern(namespace), {})
            ]
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
        self._json(
            "PATCH",
            f"{_pattern(metadata['namespace'])}/{quote(metadata['name'])}/status",
            query={"fieldManager": FIELD_MANAGER},
            body={"status": {"conditions": [condition]}},
            content_type="application/merge-patch+json",
        )
        if problem:
            self._json("POST", _path(metadata["namespace"], "events"), body=event_about(obj, condition))

    def apply_config_map(self, obj: Mapping[str, Any]) -> JsonObject:
        """Server-side apply: makes the given fields ours, keeps those of others.

        Kubernetes: Server-Side Apply. ``force`` takes a field back from whoever changed it.

        Raises:
            ClusterError: it was not written.
        """
        metadata = obj["metadata"]
        return self._json(
            "PATCH",
            _path(metadata["namespace"], "configmaps", metadata["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=obj,
            content_type="application/apply-patch+yaml",
        )

    def delete_config_map(self, obj: Mapping[str, Any]) -> None:
        """Deletes exactly the object that was read: not one that somebody has changed since.

        Raises:
            ClusterError: it was not deleted.
        """
        metadata = obj["metadata"]
        preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        self._json(
            "DELETE",
            _path(metadata["namespace"], "configmaps", metadata["name"]),
            body={"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions},
        )

    def _list(self, resource: str, namespaces: Sequence[str], **query: str) -> Iterator[JsonObject]:
        for namespace in namespaces or ("",):
            yield from self._list_pages(_path(namespace, resource), query)

    def _list_pages(self, path: str, query: Mapping[str, str]) -> Iterator[JsonObject]:
        """Pages of one consistent list; when they expire midway it starts over, and repeats objects."""
        restarts = 0
        token = ""
        while True:
            try:
                page = self._json("GET", path, query={**query, "limit": str(PAGE), "continue": token})
            except GoneError:
                restarts += 1
                if restarts > MAX_RESTARTS:
                    raise
                token = ""
                continue
            yield from page.get("items") or ()
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        what = f"{method} {path}"
        try:
            request = self._client.param_serialize(
                method=method,
                resource_path=path,
                query_params=[(key, value) for key, value in (query or {}).items() if value],
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self._client.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
            data = response.read()
        except (urllib3.exceptions.HTTPError, OSError, kubernetes.config.ConfigException) as error:
            raise ClusterError(
                f"{what}: cannot reach the API server at {self.server}: {_cause(error)}"
            ) from error
        if not 200 <= response.status < 300:  # noqa: PLR2004 - RFC 9110, 15.3
            raise _error(what, response.status, data)
        try:
            document: JsonObject = json.loads(data)
        except ValueError as error:
            raise ClusterError(
                f"{what}: the answer of {self.server} is not JSON: is it an API server?"
            ) from error
        return document


def _pattern(namespace: str) -> str:
    scope = f"namespaces/{quote(namespace)}/" if namespace else ""
    return f"/apis/kubernaut.io/v1/{scope}servicepatterns"


def _path(namespace: str, resource: str, name: str = "") -> str:
    path = f"/api/v1/namespaces/{quote(namespace)}/{resource}" if namespace else f"/api/v1/{resource}"
    return f"{path}/{quote(name)}" if name else path


def _cause(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps "connection refused" three times."""
    reason = getattr(error, "reason", None)
    return _cause(reason) if isinstance(reason, BaseException) else str(error)


def _error(what: str, status: int, data: bytes) -> ClusterError:
    try:
        # A Status (API reference: Status v1 meta) says who may not do what; no other body is shown.
        message = str(json.loads(data)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        message = f"HTTP status {status}"
    error = _ERRORS.get(status, ClusterError)(f"{what}: {message}", status)
    if isinstance(error, ForbiddenError):
        error.args = (f"{error.args[0]}; grant it to this identity by a ClusterRole or Role",)
    return error
