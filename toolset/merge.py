"""Merges what people configured over what was discovered. People win.

``enabled: false`` stays off, a ``config`` that somebody wrote stays whole, and ``enabled`` alone is
completed by what was discovered: HolmesGPT's own rule for two files, field by field. It needs the rest
even of what is off: an entry that is no built-in of its own and says only ``enabled: false`` fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolset.documents import SECTIONS, entry_problems

_EMPTY: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True)
class Merged:
    """A merged document, and what of the people's part could not be taken over and why."""

    document: Mapping[str, Any]
    problems: tuple[str, ...] = ()


def merge(people: Any, generated: Mapping[str, Any]) -> Merged:
    """``people`` over ``generated``; both are HolmesGPT toolset documents.

    Entries of ``people`` for which HolmesGPT would refuse the whole file are left out and told.
    """
    if people is None:
        return Merged(generated)
    if not isinstance(people, Mapping):
        return Merged(generated, (f"expected a mapping at the top, found {type(people).__name__}",))
    problems: list[str] = []
    document: dict[str, Any] = {}
    for section in SECTIONS:
        theirs = _entries(people.get(section), section, problems)
        ours = dict(generated.get(section) or {})
        if section == "mcp_servers":
            # HolmesGPT gives an MCP server precedence over a toolset of its name without a word.
            ours = {name: entry for name, entry in ours.items() if name not in document.get("toolsets", {})}
        entries = {**ours, **{name: _entry(entry, ours.get(name)) for name, entry in theirs.items()}}
        if entries:
            document[section] = dict(sorted(entries.items()))
    return Merged(document, tuple(problems))


def _entries(value: Any, section: str, problems: list[str]) -> dict[str, Mapping[str, Any]]:
    if value in _EMPTY:
        return {}
    if not isinstance(value, Mapping):
        problems.append(f"{section}: expected a mapping, found {type(value).__name__}")
        return {}
    entries = {}
    for name, entry in value.items():
        found = entry_problems(section, name, entry)
        problems += found
        if not found:
            entries[name] = entry
    return entries


def _entry(theirs: Mapping[str, Any], ours: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if ours is None:
        return theirs
    if theirs.get("type", ours.get("type")) != ours.get("type"):
        return theirs
    return {**ours, **{key: value for key, value in theirs.items() if value not in _EMPTY}}
