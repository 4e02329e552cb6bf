"""Where the certificate is kept: a Secret that all replicas share, or this process alone."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from webhook.apiserver import ApiError, ApiServer, JsonObject
from webhook.certificates import CertificateError, Files, Lifetimes, Pair, read, renewed

log = logging.getLogger(__name__)


class Store(Protocol):
    """Gives the certificate that should be served."""

    def load(self, now: datetime) -> Pair:
        """The pair of now.

        Raises:
            ApiError: it cannot be read or written.
            CertificateError: what is there is no use.
        """


class Memory:
    """Made here, for one process: development and tests outside a cluster."""

    def __init__(self, hosts: Sequence[str], lifetimes: Lifetimes) -> None:
        self._hosts = hosts
        self._lifetimes = lifetimes
        self._files: Files = {}

    def load(self, now: datetime) -> Pair:
        """Renewed when it is due."""
        self._files = renewed(self._files, self._hosts, now, self._lifetimes) or self._files
        return read(self._files)


class SecretStore:
    """A Secret that somebody else keeps: cert-manager, or a person."""

    def __init__(self, api: ApiServer, namespace: str, name: str) -> None:
        self._api = api
        self._what = f"Secret {namespace}/{name}"
        self._path = f"/api/v1/namespaces/{namespace}/secrets/{name}"

    def load(self, now: datetime) -> Pair:
        """What it holds."""
        del now
        files, _ = self._files()
        try:
            return read(files)
        except CertificateError as error:
            raise CertificateError(f"{self._what}: {error}") from error

    def _files(self) -> tuple[Files, JsonObject]:
        secret = self._api.get(self._path)
        if secret is None:
            raise ApiError(f"{self._what} is not there: the chart makes it, or whoever keeps the certificate")
        data = secret.get("data") or {}
        try:
            return {key: base64.b64decode(value) for key, value in data.items()}, secret
        except ValueError as error:
            raise CertificateError(f"{self._what}: {error}") from error


class OwnSecret(SecretStore):
    """A Secret that the guard's replicas keep together: who is first writes, the others take it over."""

    def __init__(
        self, api: ApiServer, namespace: str, name: str, hosts: Sequence[str], lifetimes: Lifetimes
    ) -> None:
        super().__init__(api, namespace, name)
        self._hosts = hosts
        self._lifetimes = lifetimes
        self._last: Files = {}

    def load(self, now: datetime) -> Pair:
        """Renewed when it is due; put back when somebody emptied it."""
        files, secret = self._files()
        # What was good a moment ago still is, though the Secret may have been applied anew without its data.
        new = renewed(files if any(files.values()) else self._last, self._hosts, now, self._lifetimes)
        wanted = new or (files if any(files.values()) else self._last)
        if wanted != files:
            data = {key: base64.b64encode(value).decode() for key, value in wanted.items()}
            try:
                self._api.replace(self._path, {**secret, "data": data})
            except ApiError as error:
                if error.status != 409:  # noqa: PLR2004 - RFC 9110, 15.5.10
                    raise
                # Another replica was faster: its certificate is as good.
                wanted, _ = self._files()
            else:
                log.info("certificate %s in %s", "renewed" if new else "put back", self._what)
        self._last = wanted
        return read(wanted)
