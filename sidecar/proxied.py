"""The connection to a Service by way of the API server (:mod:`toolset.via`).

No ClusterIP has to be reachable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from yarl import URL

from sidecar.line import Line, NoAnswerError, Request
from toolset.backend import Scheme
from toolset.proof import Answer
from toolset.via import KubectlProxy


@dataclass
class ProxiedLine(Line):
    """A line whose requests go to a kubectl proxy, and whose answers read as if they came straight."""

    proxy: KubectlProxy | None = None

    def _request(self, request: Request, tls: Any) -> Any:
        del tls  # between here and the API server it is kubectl's matter
        assert self.proxy is not None  # noqa: S101 - a default only because Line's fields have some
        kind = {"Content-Type": "application/json"} if request.body else {}
        return self.session.request(
            request.method,
            URL(self.proxy.origin + self._prefix(request) + request.path, encoded=True),
            data=request.body or None,
            headers={**kind, **dict(request.headers)},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        )

    async def _send(self, request: Request, tls: Any) -> Answer:
        answer = await super()._send(request, tls)
        if said := _of_the_api_server(answer):
            raise NoAnswerError(f"the API server says: {said}")
        # It puts its own prefix into redirects and into links of pages.
        prefix = self._prefix(request)
        headers = tuple((name, value.replace(prefix, "")) for name, value in answer.headers)
        return replace(answer, headers=headers, body=answer.body.replace(prefix.encode(), b""))

    def _prefix(self, request: Request) -> str:
        assert self.proxy is not None  # noqa: S101 - as above
        return self.proxy.prefix(self.candidate.service, request.scheme, request.port)

    async def _converse(
        self, scheme: Scheme, port: int, send: bytes, expect: Sequence[re.Pattern[bytes]]
    ) -> tuple[bytes, bool]:
        del scheme, port, send, expect
        raise OSError("only HTTP goes through the API server")


def _of_the_api_server(answer: Answer) -> str:
    """What the API server itself says in place of the Service; empty when the Service answered."""
    if answer.status < 400 or not answer.body.startswith(b'{"kind":"Status","apiVersion":"v1"'):  # noqa: PLR2004
        return ""
    try:
        return str(json.loads(answer.body).get("message") or f"status {answer.status}")
    except ValueError:
        return f"status {answer.status}"
