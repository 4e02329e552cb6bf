"""Who may use the API: in a cluster whom its API server knows, and lets.

The API server is asked two questions, as its own components ask them: whose token that is (API reference:
TokenReview), and whether he may do that (API reference: SubjectAccessReview). When it cannot be asked,
nobody may.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from cachetools import TTLCache
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, ServiceUnavailable, Unauthorized

from sidecar.connection import ClusterError, JsonObject
from sidecar.metrics import Metrics
from toolset.text import printable

log = logging.getLogger(__name__)

SCOPE = "/kubernaut-dynamic-toolsets"
"""Before every path that a role names. Without it ``system:discovery``, which everybody has, would grant
reading: it grants ``get`` of ``/api/*``, meaning the API server's own (Kubernetes: Default roles)."""

CACHE_SECONDS = 10.0
"""So long an answer holds: a role that is taken away, or an account that is deleted, counts after it."""

CACHE_SIZE = 1024

MAX_TOKEN = 16 * 1024
"""Characters of a token; service accounts' have about 1,000."""

AT_ONCE = 3
"""Reviews that may be under way. More wait for nobody: the kubelet's probes need a thread, too."""

TIMEOUT_SECONDS = (2.0, 5.0)

_TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class Access(Protocol):
    """Decides."""

    def admit(self, token: str, verb: str, path: str) -> None:
        """Returns if who bears the token may do that; ``token`` is empty where there is none.

        Raises:
            HTTPException: he may not, or it cannot be told.
        """


class Reviewer(Protocol):
    """Asks an API server; see :class:`sidecar.connection.Connection`."""

    def json(
        self, method: str, path: str, *, body: Mapping[str, Any], timeout: tuple[float, float]
    ) -> JsonObject:
        """One request."""


class Everybody:
    """On a loopback address of somebody's own machine."""

    def admit(self, token: str, verb: str, path: str) -> None:
        """Always."""


class Nobody:
    """Where nobody can be asked."""

    def __init__(self, why: str) -> None:
        self._why = why

    def admit(self, token: str, verb: str, path: str) -> None:
        """Never."""
        del token, verb, path
        raise Forbidden(self._why)


class Reviewed:
    """Asks the API server, and keeps its answers for :data:`CACHE_SECONDS`. From any thread."""

    def __init__(self, reviewer: Reviewer, metrics: Metrics, *, cache_seconds: float = CACHE_SECONDS) -> None:
        self._reviewer = reviewer
        self._metrics = metrics
        self._users: TTLCache[str, JsonObject | None] = TTLCache(CACHE_SIZE, cache_seconds)
        self._decisions: TTLCache[tuple[str, str, str], str] = TTLCache(CACHE_SIZE, cache_seconds)
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def admit(self, token: str, verb: str, path: str) -> None:
        """By the API server's answers, or those of a moment ago."""
        if not token:
            self._count("unauthenticated")
            raise _unauthorized("send a token of this cluster: Authorization: Bearer TOKEN")
        # Tokens are not kept, nor compared byte by byte.
        key = hashlib.sha256(token.encode()).hexdigest()
        user = self._cached(self._users, key, lambda: self._whose(token))
        if user is None:
            self._count("unauthenticated")
            raise _unauthorized("the API server does not know this token, or knows it no more")
        reason = self._cached(self._decisions, (key, verb, path), lambda: self._why_not(user, verb, path))
        if reason:
            self._count("forbidden")
            raise Forbidden(reason)

    def _cached(self, cache: TTLCache[Any, Any], key: Any, ask: Callable[[], Any]) -> Any:
        with self._lock:
            if key in cache:
                return cache[key]
        if not self._free.acquire(blocking=False):
            self._count("unavailable")
            raise ServiceUnavailable("too many reviews are under way: try again", retry_after=1)
        try:
            answer = ask()
        except (ClusterError, KeyError, TypeError) as error:
            self._count("unavailable")
            log.warning("nobody may use the API: %s", error)
            raise ServiceUnavailable(_cure(error), retry_after=5) from error
        finally:
            self._free.release()
        with self._lock:
            cache[key] = answer
        return answer

    def _whose(self, token: str) -> JsonObject | None:
        if len(token) > MAX_TOKEN:
            return None
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        }
        status = self._ask(_TOKEN_REVIEWS, body)
        return status["user"] if status.get("authenticated") else None

    def _why_not(self, user: JsonObject, verb: str, path: str) -> str:
        """Why he may not; empty when he may."""
        name = str(user["username"])
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": name,
                "uid": user.get("uid", ""),
                "groups": user.get("groups") or [],
                "extra": user.get("extra") or {},
                "nonResourceAttributes": {"path": SCOPE + path, "verb": verb},
            },
        }
        if self._ask(_ACCESS_REVIEWS, body)["allowed"]:
            return ""
        return f"{printable(name)} may not {verb} {SCOPE}{printable(path)}: a ClusterRole grants it"

    def _ask(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        status: JsonObject = self._reviewer.json("POST", path, body=body, timeout=TIMEOUT_SECONDS)["status"]
        return status

    def _count(self, reason: str) -> None:
        self._metrics.api_denials.labels(reason).inc()


def access_to(address: str, reviewer: Reviewer | None, metrics: Metrics) -> Access:
    """Who may use an API that is served at ``HOST:PORT``."""
    if is_open(address):
        return Everybody()
    if reviewer is not None:
        return Reviewed(reviewer, metrics)
    return Nobody(
        "the API is off: nobody can be asked who may use it; give --http 127.0.0.1:8080, a cluster, or a "
        "sidecar an identity of its own"
    )


def is_open(address: str) -> bool:
    """Whether the API is open to all: on loopback, and outside a cluster.

    Inside one, port-forwarding and the other containers of the pod arrive from loopback as well.
    """
    host = address.rpartition(":")[0].strip("[]")
    return "KUBERNETES_SERVICE_HOST" not in os.environ and is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unauthorized(why: str) -> Unauthorized:
    return Unauthorized(why, www_authenticate=WWWAuthenticate("bearer", {"realm": "dynamic-toolset"}))


def _cure(error: Exception) -> str:
    return (
        f"the API server cannot be asked who may use this: {error}; the service's account needs create on "
        "tokenreviews.authentication.k8s.io and subjectaccessreviews.authorization.k8s.io"
    )
