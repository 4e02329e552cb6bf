"""What an earlier process had proven, as its ``toolset.json`` tells: a restart forgets nothing.

Nothing of it is believed unseen: the Service must still be there, be the same object, and still be taken
for the same product at that very endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from toolset.classify import Candidate
from toolset.discovered import Status
from toolset.documents import toolset_json_problems
from toolset.endpoints import Endpoint
from toolset.text import is_url_path
from toolset.yaml_source import YamlError, parse

PROVEN = frozenset({Status.VERIFIED, Status.UNHEALTHY, Status.CREDENTIALED, Status.NEEDS_CREDENTIALS})
"""Statuses that come of an answer."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """One Service as it was listed."""

    key: str
    uid: str
    type: str
    url: str
    status: Status
    verify_ssl: bool

    def match(self, candidates: Iterable[Candidate], domain: str) -> tuple[Candidate, Endpoint] | None:
        """The candidate and endpoint that are meant, if the Service may still be that."""
        try:
            url = urlsplit(self.url)
            port = url.port
        except ValueError:
            return None
        if url.path and not is_url_path(url.path):
            return None
        for candidate in candidates:
            service = candidate.service
            if (service.uid, candidate.type, service.host(domain)) != (self.uid, self.type, url.hostname):
                continue
            for endpoint in candidate.endpoints:
                if (endpoint.scheme, endpoint.port) == (url.scheme, port):
                    return candidate, Endpoint(endpoint.scheme, endpoint.port, url.path)
        return None


def read(text: str) -> dict[str, Remembered]:
    """What a ``toolset.json`` holds, by ``namespace/name``; nothing of one that is wrong."""
    try:
        document = parse(text)
    except YamlError:
        return {}
    if document.data is None or toolset_json_problems(document):
        return {}
    known = {status.value for status in PROVEN}
    return {
        f"{tool['namespace']}/{tool['name']}": Remembered(
            f"{tool['namespace']}/{tool['name']}",
            tool["uid"],
            tool["type"],
            tool["url"],
            Status(tool["status"]),
            tool["verify_ssl"],
        )
        for tool in document.data["tools"]
        if tool["status"] in known and tool["uid"]
    }
