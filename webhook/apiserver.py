"""The API server, as far as the guard needs it: a few objects by name.

Through urllib3 and not the official client, which takes 15 MB of the 60 that the guard may have
(docs/decisions/0006-the-guard-without-the-client.md). Outside a cluster the client reads the kubeconfig.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3

from toolset.text import printable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

TIMEOUT = urllib3.Timeout(connect=3, read=5)

JsonObject = dict[str, Any]


class ApiError(Exception):
    """It could not be asked, or said no; ``status`` is 0 where there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ApiServer:
    """One API server, as one identity: of the pod, or of a kubeconfig."""

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        if "KUBERNETES_SERVICE_HOST" in os.environ and not kubeconfig and not context:
            host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
            self.server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
            self._token = ""
            options: dict[str, Any] = {"ca_certs": str(ACCOUNT / "ca.crt")}
        else:
            self.server, self._token, options = _of_kubeconfig(kubeconfig, context)
        self._pool = urllib3.PoolManager(timeout=TIMEOUT, retries=False, **options)

    def get(self, path: str) -> JsonObject | None:
        """One object, or None where there is none.

        Raises:
            ApiError: it could not be read.
        """
        try:
            return self._json("GET", path)
        except ApiError as error:
            if error.status == 404:  # noqa: PLR2004 - RFC 9110, 15.5.5
                return None
            raise

    def replace(self, path: str, obj: Mapping[str, Any]) -> JsonObject:
        """Writes an object that was read; 409 when somebody was faster.

        Raises:
            ApiError: it was not written.
        """
        return self._json("PUT", path, obj)

    def apply(self, path: str, obj: Mapping[str, Any], manager: str) -> JsonObject:
        """Server-side apply: makes these fields ours.

        Raises:
            ApiError: it was not written.
        """
        query = f"{path}?fieldManager={manager}&force=true"
        return self._json("PATCH", query, obj, "application/apply-patch+yaml")

    def delete(self, path: str) -> None:
        """Deletes an object, if it is there.

        Raises:
            ApiError: it was not deleted.
        """
        try:
            self._json("DELETE", path)
        except ApiError as error:
            if error.status != 404:  # noqa: PLR2004 - RFC 9110, 15.5.5
                raise

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        try:
            # Read each time: the kubelet replaces it long before it ends.
            token = self._token or (ACCOUNT / "token").read_text()
            if token.strip():
                headers["Authorization"] = f"Bearer {token.strip()}"
            data = json.dumps(body).encode() if body is not None else None
            answer = self._pool.request(method, self.server + path, body=data, headers=headers)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(f"{method} {path}: no answer of {self.server}: {error}") from error
        try:
            document: JsonObject = json.loads(answer.data)
        except ValueError:
            document = {}
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110, 15.3
            message = printable(str(document.get("message") or f"HTTP status {answer.status}"), 500)
            raise ApiError(f"{method} {path}: {message}", answer.status)
        return document


def _of_kubeconfig(kubeconfig: str, context: str) -> tuple[str, str, dict[str, Any]]:
    import kubernetes.client  # noqa: PLC0415 - 15 MB that a pod does not need
    import kubernetes.config  # noqa: PLC0415

    configuration = kubernetes.client.Configuration()
    try:
        kubernetes.config.load_kube_config(
            config_file=kubeconfig or None,
            context=context or None,
            client_configuration=configuration,
            persist_config=False,
        )
    # The client raises whatever its parsers do; a person's file can be wrong in any way.
    except Exception as error:
        where = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise ApiError(
            f"no usable cluster configuration in {where}: {error}; give --kubeconfig FILE"
        ) from error
    bearer = configuration.auth_settings().get("BearerToken", {}).get("value") or ""
    options = {
        "ca_certs": configuration.ssl_ca_cert,
        "cert_file": configuration.cert_file,
        "key_file": configuration.key_file,
    }
    token = bearer.removeprefix("Bearer ") or " "
    return configuration.host, token, {key: value for key, value in options.items() if value}
