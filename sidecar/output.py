"""Shows a discovery to people and programs: a table, JSON, YAML, or HolmesGPT's own file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from toolset import render
from toolset.discovered import Discovered, Discovery, Status
from toolset.text import printable

STYLES = {
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
            service_data(found, settings, names.get(found.service.key, [])) for found in discovery.discovered
        ],
        "skipped": [
            {"namespace": skip.namespace, "name": skip.name, "reason": skip.reason}
            for skip in discovery.skipped
        ],
    }


def service_data(found: Discovered, settings: render.Settings, toolsets: Sequence[str]) -> dict[str, Any]:
    """One discovered Service of :func:`as_data`, and the toolsets that it is part of."""
    return {
        "namespace": found.service.namespace,
        "name": found.service.name,
        "backend": found.type,
        "url": render.url_of(found, settings),
        "toolsets": list(toolsets),
        "status": found.status.value,
        "evidence": list(found.evidence),
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
    return _table(discovery, settings, wide=False)


def as_wide(discovery: Discovery, settings: render.Settings) -> str:
    """:func:`as_table`, with why each is what it is said to be."""
    return _table(discovery, settings, wide=True)


def terminal() -> Console:
    """Standard output: coloured and folded where it is a terminal (and NO_COLOR is not set), else plain."""
    console = Console()
    width = console.width if console.is_terminal else 1000
    return Console(width=width, highlight=False, soft_wrap=False, force_terminal=console.is_terminal)


def _table(discovery: Discovery, settings: render.Settings, *, wide: bool) -> str:
    console = terminal()
    with console.capture() as capture:
        _print_discovered(console, discovery, settings, wide=wide)
        _print_skipped(console, discovery)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


FORMATS: dict[str, Callable[[Discovery, render.Settings], str]] = {
    "table": as_table,
    "wide": as_wide,
    "json": as_json,
    "yaml": as_yaml,
    "holmes": as_holmes,
}


def _print_discovered(
    console: Console, discovery: Discovery, settings: render.Settings, *, wide: bool
) -> None:
    if not discovery.discovered:
        console.print("No services discovered.")
        return
    names = render.toolset_names(discovery.discovered, settings)
    table = Table("NAMESPACE", "NAME", "BACKEND", "URL", "STATUS", "TOOLSETS", box=None, pad_edge=False)
    if wide:
        table.add_column("EVIDENCE")
    for found in discovery.discovered:
        table.add_row(
            found.service.namespace,
            found.service.name,
            found.type,
            Text(render.url_of(found, settings), overflow="fold"),
            Text(found.status.value, style=STYLES[found.status]),
            Text("\n".join(names.get(found.service.key, ())) or "-", overflow="fold"),
            *([Text(printable("; ".join(found.evidence), 1000), overflow="fold")] if wide else ()),
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
