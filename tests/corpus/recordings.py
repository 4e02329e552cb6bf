"""What was recorded of real servers, read from ``tests/atlas``, and said again as they did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ATLAS = Path(__file__).parents[1] / "atlas"

Reply = tuple[int, Any, str]
"""Status, headers, body."""

BARE_404: Reply = (404, {"content-type": "text/plain; charset=utf-8"}, "404 page not found\n")
OK = 200


@dataclass(frozen=True)
class Voice:
    """What one port says: HTTP by target, other protocols by what is sent to it."""

    server: str
    replies: Mapping[str, Reply] = field(default_factory=dict)
    otherwise: Reply = BARE_404
    wire: Mapping[bytes, bytes] = field(default_factory=dict)
    tls: bool = False

    def reply(self, target: str, accept: str = "") -> Reply:
        """To a GET request; a query's answer is recorded once, for any query."""
        for known in (f"{target} Accept: {accept}", target, target.partition("?")[0]):
            if known in self.replies:
                return self.replies[known]
        return self.otherwise

    def answer(self, method: str, target: str) -> Reply:
        """To another method: as recorded; who says yes to every path does so to every method too."""
        refusal = (405, {"content-type": "text/plain; charset=utf-8"}, "Method Not Allowed")
        otherwise = self.otherwise if self.otherwise[0] == OK else refusal
        return self.replies.get(f"{method} {target}", otherwise)


@cache
def http() -> dict[str, dict[str, Reply]]:
    """Of each server its answers to GET requests."""
    servers = [*_read("http.json"), *_read("documented.json")]
    return {
        it["server"]: {target: _reply(reply) for target, reply in it["answers"].items()} for it in servers
    }


@cache
def wire() -> dict[str, dict[bytes, bytes]]:
    """Of each server what it says to other protocols' bytes; nothing where it closes the connection."""
    return {
        it["server"]: {bytes.fromhex(sent): bytes.fromhex(said or "") for sent, said in it["answers"].items()}
        for it in _read("tcp.json")
    }


def queries(of: str) -> dict[str, Reply]:
    """Answers to queries, of one product."""
    return {
        target: _reply(reply)
        for it in _read("queries.json")
        if of in it["of"]
        for target, reply in it["answers"].items()
    }


@cache
def _read(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ATLAS / name).read_text("utf-8"))
    return found


def _reply(recorded: Any) -> Reply:
    return BARE_404 if recorded == 404 else tuple(recorded)
