"""From outside of the cluster: Services by way of the API server, through a running ``kubectl proxy``.

Kubernetes: Access Services Running on Clusters, "Manually constructing apiserver proxy URLs".
Only HTTP goes that way.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from toolset.endpoints import Endpoint
from toolset.service import Service

HTTP = ("http", "https")


@dataclass(frozen=True)
class KubectlProxy:
    """Where one listens; it adds the credentials of its kubeconfig to what it hands on."""

    host: str
    port: int

    @classmethod
    def from_url(cls, url: str) -> KubectlProxy:
        """``http://127.0.0.1:8001``, as kubectl prints it.

        Raises:
            ValueError: it is not of that form.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"{url!r}: expected where kubectl proxy listens, such as http://127.0.0.1:8001")
        return cls(parts.hostname, parts.port or 80)

    @property
    def origin(self) -> str:
        """Its URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def prefix(self, service: Service, scheme: str, port: int) -> str:
        """The path below which a Service's port is."""
        name = f"{scheme}:{service.name}:{port}"
        return f"/api/v1/namespaces/{service.namespace}/services/{name}/proxy"

    def endpoint(self, service: Service, endpoint: Endpoint) -> Endpoint:
        """The same endpoint of a Service, as it is reached through here."""
        path = self.prefix(service, endpoint.scheme, endpoint.port) + endpoint.path
        return Endpoint("http", self.port, path)
