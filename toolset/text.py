"""What text from a cluster may look like before it reaches a generated file.

HolmesGPT replaces ``{{ env.NAME }}`` anywhere in an entry by its own environment, and renders some
fields with Jinja: anything that could be read as a template is refused, never escaped.
"""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 128

_UNPRINTABLE = ("C", "Zl", "Zp")
"""Unicode's categories of control characters and of what ends a line."""

_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_INSTANCE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def why_unsafe(text: str) -> str:
    """The reason why ``text`` may not enter a generated file; empty when it may."""
    if _TEMPLATE.search(text):
        return "holds a template mark ({{, {% or {#)"
    if any(unicodedata.category(character).startswith(_UNPRINTABLE) for character in text):
        return "holds a control character or more than one line"
    return ""


def is_url_path(text: str) -> bool:
    """Whether ``text`` is an absolute, plain path of a URL, without query or fragment (RFC 3986, 3.3)."""
    # The runbook counts the lines that hold "endpoint:"; no path may add one.
    refused = ("..", "//", "endpoint:")
    return len(text) <= MAX_NAME and bool(_PATH.fullmatch(text)) and not any(part in text for part in refused)


def is_instance_name(text: str) -> bool:
    """Whether ``text`` may name an instance: short, plain ASCII, nothing that quotes or nests."""
    return bool(_INSTANCE_NAME.fullmatch(text))


def printable(text: str, limit: int = 200) -> str:
    """``text`` for a log line or a terminal: control characters shown as escapes, cut at ``limit``."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character).startswith(_UNPRINTABLE)
        else character
        for character in cut
    )
