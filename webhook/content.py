"""What may be written by who may write: the service's own writes, break-glass edits, and overrides.

Only what a request changes is judged: what was there before must not keep anybody from deleting it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from toolset import names
from toolset.documents import MAX_BYTES, generated_problems, overrides_problems
from toolset.risks import risks
from toolset.text import printable
from toolset.yaml_source import parse
from webhook.request import Decision, JsonObject, Request, mapping

MAX_OVERRIDES = 256 * 1024
"""Bytes of overrides; people write a few hundred."""

SHOWN = 5
"""Problems that a message names; the rest is counted."""


def judge_own(request: Request, allowed_env: frozenset[str] | None) -> Decision:
    """A write of the service's own account: a stolen token must not get anything dangerous in."""
    problems = [*_metadata_problems(request), *_data_problems(request, allowed_env)]
    if not problems:
        return Decision(True, "service")
    return Decision(False, "content", _refusal(request, "is not what the service writes", problems))


def judge_break_glass(request: Request, allowed_env: frozenset[str] | None) -> Decision:
    """Trusted people write what they must; what is wrong with it they are told."""
    held = _annotation(request.object)
    if held != _annotation(request.old) and held and not is_time(held):
        return Decision(
            False,
            "content",
            f"{names.HOLD_UNTIL}: {held!r:.60} is no time; write it as 2026-11-24T18:00:00Z (RFC 3339)",
        )
    warnings = [f"{problem}"[:200] for problem in _data_problems(request, allowed_env)][:SHOWN]
    if not held:
        warnings.append(
            f"the service will put this back within a second; annotate {names.HOLD_UNTIL}: TIME to keep it"
        )
    return replace(break_glass(request), warnings=tuple(warnings))


def break_glass(request: Request) -> Decision:
    """Allowed to a trusted person, and written into the audit log."""
    audit = {"break-glass": printable(f"{request.operation} {request.what} by {request.user}", 500)}
    return Decision(True, "break-glass", audit=audit)


def judge_overrides(request: Request, namespace: str, allowed_env: frozenset[str] | None) -> Decision:
    """The overrides may be written by whoever RBAC lets, but only to something valid."""
    if request.operation == "DELETE":
        return Decision(True, "overrides")
    if request.namespace != namespace:
        warning = f"nobody reads this: overrides are read from {namespace}/{names.OVERRIDES}"
        return Decision(True, "overrides", warnings=(warning,) if namespace else ())
    text = mapping(request.object, "data").get(names.OVERRIDES_KEY)
    if text == mapping(request.old, "data").get(names.OVERRIDES_KEY):
        return Decision(True, "overrides", warnings=_unread(request))
    if not isinstance(text, str | None):
        problems: Sequence[object] = ["expected text"]
    elif len(text or "") > MAX_OVERRIDES:
        problems = [f"{len(text or '')} characters; allowed are {MAX_OVERRIDES}"]
    else:
        problems = overrides_problems(text or "", allowed_env=allowed_env)
    if problems:
        problems = [f"{names.OVERRIDES_KEY}: {problem}" for problem in problems]
        return Decision(False, "overrides", _refusal(request, "would not be used", problems))
    found = [f"{names.OVERRIDES_KEY}: {risk}"[:200] for risk in risks(parse(text or ""))[:SHOWN]]
    return Decision(True, "overrides", warnings=(*_unread(request), *found))


def is_time(text: str) -> bool:
    """Whether a text is a moment, with its time zone (RFC 3339)."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _metadata_problems(request: Request) -> Iterator[str]:
    if isinstance(request.object, Mapping) and request.object.get("immutable"):
        yield "immutable: must not be set, or nothing could be updated any more"
    if _annotation(request.object) != _annotation(request.old):
        yield f"metadata.annotations: {names.HOLD_UNTIL} is for trusted people alone"


def _data_problems(request: Request, allowed_env: frozenset[str] | None) -> Iterator[str]:
    if mapping(request.object, "binaryData") != mapping(request.old, "binaryData"):
        yield "binaryData: must not be changed"
    old, new = mapping(request.old, "data"), mapping(request.object, "data")
    changed = {key: value for key, value in new.items() if value != old.get(key)}
    foreign = sorted({*changed, *(old.keys() - new.keys())} - {*names.GENERATED_KEYS})
    for key in foreign[:SHOWN]:
        yield f"{key:.80}: is no key of the service's; those are {', '.join(names.GENERATED_KEYS)}"
    size = sum(len(value) for value in new.values() if isinstance(value, str))
    if size > MAX_BYTES and changed:
        yield f"{size} characters; allowed are {MAX_BYTES}"
        return
    for key in names.GENERATED_KEYS:
        text = changed.get(key, "")
        if not isinstance(text, str):
            yield f"{key}: expected text"
        elif text or changed.get(key) == "":
            problems = generated_problems(key, text, allowed_env=allowed_env)
            yield from (f"{key}: {problem}" for problem in problems[: SHOWN + 1])


def _annotation(obj: JsonObject | None) -> str:
    value = mapping(mapping(obj, "metadata"), "annotations").get(names.HOLD_UNTIL)
    return value if isinstance(value, str) else ""


def _unread(request: Request) -> tuple[str, ...]:
    others = mapping(request.object, "data").keys() - {names.OVERRIDES_KEY}
    return (f"only the key {names.OVERRIDES_KEY} is read; there are others",) if others else ()


def _refusal(request: Request, why: str, problems: Sequence[object]) -> str:
    shown = [printable(str(problem), 300) for problem in problems[:SHOWN]]
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return f"{request.what} {why}: {'; '.join(shown)}{more}"
