"""What was discovered, as the API shows it: plain data, made once for each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sidecar.api.schemas import LEFT_OUT
from toolset import render
from toolset.discovered import Discovered, Discovery, Status
from toolset.documents import SECTIONS

Data = dict[str, Any]

_ADVICE = {
    Status.UNHEALTHY: "it answered before and fails now: look at the pods behind it",
}


@dataclass(frozen=True)
class View:
    """One discovery, shown; ``since`` are Unix times, by ``namespace/name``."""

    discovery: Discovery
    rendering: render.Settings
    since: Mapping[str, float] = field(default_factory=dict)

    def same_as(self, other: View) -> bool:
        """Whether it shows the very same; cheap."""
        return (
            self.discovery is other.discovery
            and self.since is other.since
            and self.rendering == other.rendering
        )

    @cached_property
    def services(self) -> tuple[Data, ...]:
        """All Services that something spoke for, sorted by :func:`key_of`."""
        names = render.toolset_names(self.discovery.discovered, self.rendering)
        shown = [*self._discovered(names), *self._left_out()]
        return tuple(sorted(shown, key=key_of))

    @cached_property
    def by_key(self) -> Mapping[str, Data]:
        """The Services, by ``namespace/name``."""
        return {key_of(service): service for service in self.services}

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many there are of each status."""
        return dict(sorted(Counter(service["status"] for service in self.services).items()))

    def _discovered(self, names: Mapping[str, Sequence[str]]) -> Iterator[Data]:
        for found in self.discovery.discovered:
            *evidence, last = found.evidence or ("",)
            advice = last if found.status is Status.NEEDS_CREDENTIALS else _ADVICE.get(found.status, "")
            yield {
                "namespace": found.service.namespace,
                "name": found.service.name,
                "type": found.type,
                "title": found.backend.title,
                "url": render.url_of(found, self.rendering),
                "status": found.status.value,
                "since": shown_time(self.since.get(found.service.key)),
                "toolsets": list(names.get(found.service.key, ())),
                "evidence": evidence if advice == last else list(found.evidence),
                "advice": advice or self._why_not_rendered(found, names),
            }

    def _why_not_rendered(self, found: Discovered, names: Mapping[str, Sequence[str]]) -> str:
        if names.get(found.service.key):
            return ""
        return render.why_not_rendered(found, self.rendering)

    def _left_out(self) -> Iterator[Data]:
        for skip in self.discovery.skipped:
            yield {
                "namespace": skip.namespace,
                "name": skip.name,
                "type": "",
                "title": "",
                "url": "",
                "status": LEFT_OUT,
                "since": None,
                "toolsets": [],
                "evidence": [skip.reason],
                "advice": "",
            }


def sections_of(document: render.Document) -> dict[str, str]:
    """The sections in which toolsets stand, by the toolset's name."""
    return {name: section for section in SECTIONS for name in sorted(document.get(section) or {})}


def toolsets(document: render.Document, view: View) -> list[Data]:
    """The toolsets of a document, each with the Services that it is made of."""
    members: dict[str, list[Data]] = {}
    for service in view.services:
        for name in service["toolsets"]:
            instance = {key: service[key] for key in ("namespace", "name", "status")}
            members.setdefault(name, []).append(instance)
    return [
        {
            "name": name,
            "enabled": (document[section][name] or {}).get("enabled") is not False,
            "healthy": all(one["status"] != Status.UNHEALTHY.value for one in members.get(name, ())),
            "services": members.get(name, []),
        }
        for name, section in sections_of(document).items()
    ]


def key_of(service: Data) -> str:
    """``namespace/name``."""
    return f"{service['namespace']}/{service['name']}"


def shown_time(moment: float | None) -> str | None:
    """A Unix time as RFC 3339 has it, to the second; None where it is not known."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
