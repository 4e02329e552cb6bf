"""Shows how what asks for a login is completed: for people all of it in order, for programs the parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from toolset import completing
from toolset.completing import Completion
from toolset.credentials import Credentials


@dataclass(frozen=True)
class Surroundings:
    """What is there already: bound credentials, and the namespace in which HolmesGPT runs."""

    present: Credentials
    holmesgpt_namespace: str


def as_text(completions: Sequence[Completion], around: Surroundings) -> str:
    """Three steps, each to be copied; what is a comment in YAML is for the shell or to be read."""
    return "\n".join(
        (
            *_secrets(completions, around),
            "",
            "# 2. HolmesGPT's values, beside entries that its additionalEnvVars has; then helm upgrade.",
            "#    A variable that is missing when the file names it fails the whole toolset: do this first.",
            as_values(completions, around),
            "# 3. config.yaml, in place of its credentials: what is bound already is kept.",
            *_warnings(completions),
            as_config(completions, around),
        )
    )


def _secrets(completions: Sequence[Completion], around: Surroundings) -> Iterator[str]:
    yield "# 1. The Secrets, where HolmesGPT's pod can read them. No command here prints a value."
    for it in completions:
        found = it.found
        yield f"#    {found.service.key}: {found.backend.title}, {_origin(it)}"
        yield from completing.commands(it, around.holmesgpt_namespace)


def _origin(it: Completion) -> str:
    if it.known is None:
        return "for which no Secret is known: make one, of a user who may only read"
    rights = "; the administrator's: a user who may only read is better" if it.known.admin else ""
    return f"as {it.known.maker} makes it ({it.known.source}){rights}"


def _warnings(completions: Sequence[Completion]) -> Iterator[str]:
    for it in completions:
        if not it.found.verify_ssl:
            yield (
                f"#    Nobody vouches for the certificate of {it.found.service.key}: add insecure_tls: true"
                " to its entry if the password may go there all the same."
            )


def as_config(completions: Sequence[Completion], around: Surroundings) -> str:
    """The part of ``config.yaml``."""
    return _yaml(completing.configuration(completions, around.present))


def as_values(completions: Sequence[Completion], _: Surroundings) -> str:
    """The part of HolmesGPT's values."""
    return _yaml(completing.holmesgpt_values(completions))


def _data(completions: Sequence[Completion], around: Surroundings) -> dict[str, Any]:
    return {
        "services": [
            {
                "namespace": it.found.service.namespace,
                "name": it.found.service.name,
                "backend": it.found.type,
                "status": it.found.status.value,
                "verify_ssl": it.found.verify_ssl,
                "secret": it.secret,
                "made_by": it.known.maker if it.known else "",
                "source": it.known.source if it.known else "",
                "commands": completing.commands(it, around.holmesgpt_namespace),
            }
            for it in completions
        ],
        "config": completing.configuration(completions, around.present),
        "holmesgpt_values": completing.holmesgpt_values(completions),
    }


def _as_json(completions: Sequence[Completion], around: Surroundings) -> str:
    return json.dumps(_data(completions, around), indent=2) + "\n"


def _as_yaml(completions: Sequence[Completion], around: Surroundings) -> str:
    return _yaml(_data(completions, around))


def _yaml(data: Any) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000))


FORMATS: dict[str, Callable[[Sequence[Completion], Surroundings], str]] = {
    "text": as_text,
    "config": as_config,
    "values": as_values,
    "json": _as_json,
    "yaml": _as_yaml,
}


def why_none(wanted: str) -> str:
    """What to say where there is nothing to complete."""
    return f"{wanted} asks for no login: see explain {wanted}" if wanted else "nothing asks for a login"
