"""Checks a file that a person wrote or keeps: everything wrong at once, with line numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sidecar.config import ROOT, read_config
from toolset import catalogue
from toolset.documents import SECTIONS, toolset_file_problems
from toolset.yaml_source import Problem, YamlError, parse


def _config(text: str) -> Sequence[Problem]:
    known = catalogue.bundled()
    read_config(text, frozenset(known), catalogue.logins(known))
    return ()


def _toolset_file(text: str) -> Sequence[Problem]:
    return toolset_file_problems(parse(text))


KINDS: Mapping[str, Callable[[str], Sequence[Problem]]] = {
    "config": _config,
    "overrides": _toolset_file,
    "toolset": _toolset_file,
}


def validate(text: str, kind: str | None = None) -> tuple[str, Sequence[Problem]]:
    """What the text is, and everything that is wrong with it."""
    try:
        kind = kind or _kind(parse(text).data)
        if kind is None:
            keys = ", ".join([ROOT, *SECTIONS])
            return "file", [
                Problem(1, "", f"neither a config nor a toolset file: expected one of {keys} at the top")
            ]
        return kind, KINDS[kind](text)
    except YamlError as error:
        return kind or "file", error.problems


def _kind(data: object) -> str | None:
    if isinstance(data, Mapping):
        if ROOT in data:
            return "config"
        if any(section in data for section in SECTIONS):
            return "toolset"
    return None
