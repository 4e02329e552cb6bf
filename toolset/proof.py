"""Judges what a server answered. Pure: the answer is handed in, nothing is asked here."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from jsonschema.protocols import Validator

from toolset.backend import Expectation
from toolset.text import is_url_path, printable

# Bounded, or a page of nothing but "<base " would keep the search busy for seconds.
_BASE_HREF = re.compile(rb"<base\s[^>]{0,200}href=[\"']([^\"']{1,200})[\"']", re.IGNORECASE)
_REDIRECTS = range(300, 400)
_LOGIN = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read up to a limit of bytes. Header names are lower case.

    Of protocols other than HTTP there are the bytes alone, as ``body``, and the status is 0; ``closed`` says
    that the other side then closed the connection.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    truncated: bool = False
    closed: bool = False

    def values(self, header: str) -> list[str]:
        """All values of a header: some servers repeat one in an order that changes (WWW-Authenticate)."""
        return [value for name, value in self.headers if name == header.lower()]

    @property
    def asks_for_login(self) -> bool:
        """401 or 403 (RFC 9110, 15.5.2 and 15.5.4)."""
        return self.status in _LOGIN

    @property
    def is_html(self) -> bool:
        """A page for people. Single-page applications answer one, with 200, to every path."""
        return any(value.lower().startswith("text/html") for value in self.values("content-type"))


def why_not(expect: Expectation, answer: Answer) -> str:
    """The first thing that ``answer`` lacks of ``expect``; empty when nothing."""
    if expect.receive is not None:
        return "" if expect.receive.search(answer.body) else f"{len(answer.body)} bytes of something else"
    if answer.status not in expect.status:
        return f"status {answer.status}, expected {' or '.join(map(str, expect.status))}"
    for name, pattern in expect.headers.items():
        if not any(pattern.search(value) for value in answer.values(name)):
            return f"no header {name} like {pattern.pattern!r}"
    if expect.text is not None and not expect.text.search(answer.body.decode("utf-8", "replace")):
        return f"body is not like {expect.text.pattern!r}"
    if expect.json is not None:
        return _why_not_json(expect.json, answer)
    return ""


def leaked_prefix(answer: Answer, leak: re.Pattern[str] | None = None) -> str:
    """The path prefix that a server discloses in its answer to ``GET /``; empty when it does not.

    Prometheus, Alertmanager and Thanos redirect ``/`` to their ``--web.route-prefix``; single-page
    applications such as Jaeger and Grafana write theirs into ``<base href>``. ``leak`` is how else the
    product tells it.
    """
    told = leak.search(answer.body.decode("utf-8", "replace")) if leak else None
    if told:
        return _as_prefix(told["path"])
    if answer.status in _REDIRECTS:
        location = next(iter(answer.values("location")), "")
        try:
            return _as_prefix(urlsplit(location).path)
        except ValueError:  # no URL at all
            return ""
    found = _BASE_HREF.search(answer.body)
    return _as_prefix(found.group(1).decode("ascii", "replace")) if found else ""


def _as_prefix(path: str) -> str:
    path = path.rstrip("/")
    return path if path and is_url_path(path) else ""


def _why_not_json(expected: Validator, answer: Answer) -> str:
    if answer.is_html:
        return "a page for people (text/html), expected JSON"
    if answer.truncated:
        return "the answer is longer than what is read of it"
    try:
        document = json.loads(answer.body)
        error = next(expected.iter_errors(document), None)
    except (ValueError, RecursionError):
        return "body is not JSON"
    if error is None:
        return ""
    # The message quotes the answer, which may hold a whole configuration: name the place only.
    where = printable("/".join(map(str, error.absolute_path)), 80) or "the document"
    return f"JSON: {where} does not meet {error.validator!r}"
