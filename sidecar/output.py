"""Shows a discovery to people and programs: a table, JSON, YAML, or HolmesGPT's own file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from toolset import render
from toolset.discovered import Discovery, Status

_STYLES = {
    Status.VERIFIED: "green",
    Status.CREDENTIALED: "green",
    Status.UNHEALTHY: "red",
    Status.NEEDS_CREDENTIALS: "yellow",
    Status.UNPROVEN: "yellow",
}


def as_data(discovery: Discovery, settings: render.Settings) -> dict[str, Any]:
    """The contract of ``--output json``."""
    names = render.toolset_names(discovery.discovered, settings)
    return {
        "services": [
            {
                "namespace": found.service.namespace,
                "name": found.service.name,
                "backend": found.type,
                "url": render.url_of(found, settings),
                "toolsets": names.get(found.service.key, []),
                "status": found.status.value,
                "evidence": list(found.evidence),
            }
            for found in discovery.discovered
        ],
        "skipped": [
            {"namespace": skip.namespace, "name": skip.name, "reason": skip.reason}
            for skip in discovery.skipped
        ],
    }


def as_json(discovery: Discovery, settings: render.Settings) -> str:
    """:func:`as_data`, as JSON."""
    return json.dumps(as_data(discovery, settings), indent=2) + "\n"


def as_yaml(discovery: Discovery, settings: render.Settings) -> str:
    """:func:`as_data`, as YAML."""
    return yaml.safe_dump(as_data(discovery, settings), sort_keys=False, allow_unicode=True, width=1000)


def as_holmes(discovery: Discovery, settings: render.Settings) -> str:
    """The file that HolmesGPT would read."""
    document = render.toolset_document(discovery.discovered, settings)
    return render.toolset_yaml(render.with_revision(document, discovery.discovered))


def as_table(discovery: Discovery, settings: render.Settings) -> str:
    """For a terminal; as wide as it is, or as the text needs where there is none."""
    console = Console()
    width = console.width if console.is_terminal else 1000
    console = Console(width=width, highlight=False, soft_wrap=False, force_terminal=console.is_terminal)
    with console.capture() as capture:
        _print_discovered(console, discovery, settings)
        _print_skipped(console, discovery)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


FORMATS: dict[str, Callable[[Discovery, render.Settings], str]] = {
    "table": as_table,
    "json": as_json,
    "yaml": as_yaml,
    "holmes": as_holmes,
}


def _print_discovered(console: Console, discovery: Discovery, settings: render.Settings) -> None:
    if not discovery.discovered:
        console.print("No services discovered.")
        return
    names = render.toolset_names(discovery.discovered, settings)
    table = Table("NAMESPACE", "NAME", "BACKEND", "URL", "STATUS", "TOOLSETS", box=None, pad_edge=False)
    for found in discovery.discovered:
        table.add_row(
            found.service.namespace,
            found.service.name,
            found.type,
            Text(render.url_of(found, settings), overflow="fold"),
            Text(found.status.value, style=_STYLES[found.status]),
            Text("\n".join(names.get(found.service.key, ())) or "-", overflow="fold"),
        )
    console.print(table)


def _print_skipped(console: Console, discovery: Discovery) -> None:
    if not discovery.skipped:
        return
    console.print("\nLeft out:")
    table = Table("NAMESPACE", "NAME", "REASON", box=None, pad_edge=False)
    for skip in discovery.skipped:
        table.add_row(skip.namespace, skip.name, Text(skip.reason, overflow="fold"))
    console.print(table)
