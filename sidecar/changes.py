"""``discover --watch``: what came, changed and went, an event a line, as ``kubectl get --watch`` tells it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml
from rich.text import Text

from sidecar.output import STYLES, service_data, terminal
from toolset import render
from toolset.discovered import Discovered, Discovery

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"
"""Kubernetes' own words for what a watch tells."""


@dataclass(frozen=True)
class Event:
    """Something became of one Service; of one that is gone, as it was last."""

    type: str
    found: Discovered
    why: str = ""
    """Of one that is gone: why it is left out now, if it is."""


def changes(before: Discovery, after: Discovery) -> Iterator[Event]:
    """The events that lead from one discovery to the next, by namespace and name; evidence alone is none."""
    was = {found.service.key: found for found in before.discovered}
    now = {found.service.key: found for found in after.discovered}
    reasons = {f"{skip.namespace}/{skip.name}": skip.reason for skip in after.skipped}
    for key in sorted(was.keys() | now.keys()):
        if key not in now:
            yield Event(DELETED, was[key], reasons.get(key, ""))
        elif key not in was:
            yield Event(ADDED, now[key])
        elif _substance(was[key]) != _substance(now[key]):
            yield Event(MODIFIED, now[key])


def _substance(found: Discovered) -> Discovered:
    return replace(found, evidence=())


def as_line(event: Event, settings: render.Settings) -> str:
    """For people: event, Service, backend, status, URL."""
    found = event.found
    gone = event.type == DELETED
    console = terminal()
    with console.capture() as capture:
        console.print(
            Text(f"{event.type:<8}  {found.service.key:<40}  {found.type:<16}  "),
            Text(f"{'gone' if gone else found.status.value:<18}", style="" if gone else STYLES[found.status]),
            Text(event.why or ("" if gone else render.url_of(found, settings))),
            sep="",
            end="",
            soft_wrap=True,
        )
    return capture.get().rstrip() + "\n"


def _data(event: Event, settings: render.Settings) -> dict[str, Any]:
    names = render.toolset_names([event.found], settings).get(event.found.service.key, [])
    data = {"type": event.type, "service": service_data(event.found, settings, names)}
    return {**data, "reason": event.why} if event.why else data


FORMATS: dict[str, Callable[[Event, render.Settings], str]] = {
    "table": as_line,
    "json": lambda event, settings: json.dumps(_data(event, settings)) + "\n",
    "yaml": lambda event, settings: "---\n" + yaml.safe_dump(_data(event, settings), sort_keys=False),
}
"""``json``: one object a line. ``yaml``: one document an event."""
