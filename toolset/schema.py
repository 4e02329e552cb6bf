"""Checks a document against a marshmallow schema, and says where in the text each error stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError
from marshmallow.exceptions import SCHEMA

from toolset.yaml_source import Document, Path, YamlError

T = TypeVar("T")


def load(schema: Schema, document: Document, build: Callable[..., T], *, at: Path = ()) -> T:
    """Validates the part of a document at ``at`` and hands the loaded fields to ``build``.

    Raises:
        YamlError: everything that is wrong, with the line of each value.
    """
    data = document.data
    for part in at:
        data = data[part]
    try:
        loaded = schema.load(data if data is not None else {})
    except ValidationError as error:
        problems = [document.problem((*at, *path), message) for path, message in flatten(error.messages)]
        raise YamlError(sorted(problems, key=lambda problem: problem.line)) from error
    return build(**loaded)


def flatten(messages: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Marshmallow's nested error messages as (path, message) pairs."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            # A Dict field reports under "key" and "value", a Schema on itself under _schema.
            part = () if key in {SCHEMA, "key", "value"} else (key,)
            yield from flatten(inner, (*path, *part))
    else:
        for message in messages if isinstance(messages, list) else [messages]:
            yield path, str(message)


class Strict(Schema):
    """A schema whose unknown fields are errors that list what is allowed."""

    def handle_error(self, error: ValidationError, *_: Any, **__: Any) -> None:
        """Completes marshmallow's "Unknown field." by the fields that there are."""
        if not isinstance(error.messages, dict):
            return
        for key, messages in error.messages.items():
            if messages == ["Unknown field."]:
                error.messages[key] = [f"unknown key; allowed are {', '.join(sorted(self.load_fields))}"]
