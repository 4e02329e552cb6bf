"""The connection to an API server: requests, streams, and what went wrong with them.

Requests go through the official client's connection (its authentication, token refresh, TLS and
proxies) but not through its models: of a Service only a few fields are needed, and 10,000 of them as
models take five times the memory (``docs/performance.md``).
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import kubernetes.client
import kubernetes.config
import urllib3
from kubernetes.watch.watch import iter_resp_lines
from urllib3.connection import HTTPConnection

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and between two reads. Without them a half-open connection hangs for ever."""

CONNECTIONS = 64
"""Connections kept for the next request; each watch holds one for itself."""

KEEPALIVE = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
"""A peer that went without a word is found out in 30 s, and idle watches outlive a balancer's limits."""

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


_NOT_GRANTED = re.compile(r"cannot \w+ (resource|path)")
"""What RBAC says. A quota or a namespace that is going refuses with 403 as well, and no role would help."""

_ERRORS = {401: ForbiddenError, 403: ForbiddenError, 404: NotFoundError, 409: ConflictError, 410: GoneError}


class Connection:
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
        configuration.connection_pool_maxsize = CONNECTIONS
        configuration.socket_options = KEEPALIVE
        return configuration

    def close(self) -> None:
        """Closes idle connections; the next request opens a new one."""
        if self._connected is not None:
            self._connected.rest_client.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> JsonObject:
        """One request, and the object that it is answered with.

        Raises:
            ClusterError: it was not answered, or with something else than success.
        """
        what = f"{method} {path}"
        with self._told(what):
            response = self._send(method, path, query, body, content_type, timeout)
            data = response.read()
        self._check(what, response.status, data)
        try:
            document: JsonObject = json.loads(data)
        except ValueError as error:
            raise ClusterError(
                f"{what}: the answer of {self.server} is not JSON: is it an API server?"
            ) from error
        return document

    @contextmanager
    def stream(self, path: str, query: Mapping[str, str], silence: float) -> Iterator[Stream]:
        """The objects of an answer that does not end, one a line: a watch.

        ``silence`` is how many seconds may pass without a byte.

        Raises:
            ClusterError: it was not granted, broke off, or was silent for too long.
        """
        what = f"watch {path}"
        with self._told(what):
            response = self._send("GET", path, query, None, "application/json", (TIMEOUT_SECONDS[0], silence))
            try:
                if response.status != 200:  # noqa: PLR2004 - RFC 9110, 15.3.1
                    self._check(what, response.status, response.read())
                yield Stream(response.response)
            finally:
                # Half read, it is of no use to the next request.
                response.response.close()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        content_type: str,
        timeout: tuple[float, float],
    ) -> Any:
        request = self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=[(key, value) for key, value in (query or {}).items() if value],
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        return self._client.call_api(*request, _request_timeout=timeout)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Names the request in what the libraries raise."""
        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError, kubernetes.config.ConfigException) as error:
            raise ClusterError(
                f"{what}: cannot reach the API server at {self.server}: {_cause(error)}"
            ) from error

    def _check(self, what: str, status: int, data: bytes) -> None:
        if status == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2
            # The token may have been rotated: the next request reads it anew.
            self._connected = None
        if not 200 <= status < 300:  # noqa: PLR2004 - RFC 9110, 15.3
            raise error_of(what, status, _message_of(data, status))


class Stream:
    """An answer that does not end; read by one thread, ended by any."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[JsonObject]:
        try:
            for line in iter_resp_lines(self._response):
                if line:
                    yield json.loads(line)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ClusterError(f"the stream broke off: {_cause(error)}") from error

    def end(self) -> None:
        """Lets the reading thread go on at once, with what it has."""
        with suppress(ValueError, RuntimeError, OSError):
            self._response.shutdown()


def _cause(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps "connection refused" three times."""
    reason = getattr(error, "reason", None)
    return _cause(reason) if isinstance(reason, BaseException) else str(error)


def _message_of(data: bytes, status: int) -> str:
    """A Status (API reference: Status v1 meta) says who may not do what; no other body is shown."""
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {status}"


def error_of(what: str, status: int, message: str) -> ClusterError:
    """The error that a status and the API server's message stand for."""
    message = message[:500]
    if status == 401 or (status == 403 and _NOT_GRANTED.search(message)):  # noqa: PLR2004 - RFC 9110, 15.5
        message += "; grant it to this identity by a ClusterRole or Role"
    return _ERRORS.get(status, ClusterError)(f"{what}: {message}", status)
