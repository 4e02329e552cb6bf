"""What people wrote, as last understood: configuration, overrides, HolmesGPT's base file.

Each is read anew at every pass. A text that is wrong is told once, and the last good one stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sidecar.config import Config, changes, read_config
from sidecar.sources import SourceError, TextSource, WrongTextError
from toolset import catalogue
from toolset.documents import toolset_file_problems
from toolset.yaml_source import YamlError, parse

log = logging.getLogger(__name__)

T = TypeVar("T")


class Followed(Generic[T]):
    """A text that is followed: its last good meaning, and what is wrong with what stands there now.

    Until it could be read once, nothing is known of what people want, and ``known`` is false. A text
    that is wrong from the start is known only where going on without it is ``dispensable``.
    """

    def __init__(
        self,
        what: str,
        source: TextSource | None,
        understand: Callable[[str], T],
        default: T,
        *,
        dispensable: bool,
        told: Callable[[T, T], str] = lambda *_: "",
    ) -> None:
        """``told`` says what changed from one meaning to another."""
        self.value = default
        self.problem = ""
        self.known = source is None
        self._dispensable = dispensable
        self._told = told
        self._what = what
        self._source = source
        self._understand = understand
        self._default = default
        self._text: str | None = None
        self._stamp: object = None

    def stirred(self) -> bool:
        """Whether the text may have changed since it was read; cheap enough to ask often."""
        return self._source is not None and self._source.stamp() != self._stamp

    def refresh(self) -> bool:
        """Reads the text again; returns whether its meaning changed. Never raises."""
        try:
            return self.load()
        except SourceError as error:
            self.known = self.known or (self._dispensable and isinstance(error, WrongTextError))
            problem = str(error).replace("\n", "; ")
            if problem != self.problem:
                log.error("%s is not used, the last good one stays: %s", self._what, problem)
            self.problem = problem
            return False

    def load(self) -> bool:
        """Reads the text; returns whether its meaning changed.

        Raises:
            SourceError: it cannot be read.
            WrongTextError: it is wrong.
        """
        if self._source is None:
            return False
        stamp = self._source.stamp()
        text = self._source.read()
        self._stamp = self._source.stamp() if stamp is None else stamp
        if text == self._text and not self.problem:
            return False
        try:
            value = self._understand(text) if text else self._default
        except YamlError as error:
            self._text = None
            raise _located(error, self._source.description) from error
        changed = value != self.value
        if self._text is not None and changed:
            log.info("%s changed: %s%s", self._what, self._source.description, self._told(self.value, value))
        self.value, self._text, self.problem, self.known = value, text, "", True
        return changed


def _located(error: YamlError, where: str) -> WrongTextError:
    return WrongTextError("\n".join(f"{where}: {problem}" for problem in error.problems))


def config(source: TextSource | None) -> Followed[Config]:
    """The service's configuration."""
    known = catalogue.bundled()
    types = frozenset(known)
    logins = catalogue.logins(known)
    return Followed(
        "configuration",
        source,
        lambda text: read_config(text, types, logins),
        Config(),
        dispensable=False,
        told=lambda before, after: "".join(f"; {change}" for change in changes(before, after)),
    )


def overrides(source: TextSource | None, within: Followed[Config]) -> Followed[Any]:
    """The overrides: checked, since they may be written by whoever RBAC lets."""

    def understand(text: str) -> Any:
        return _overrides(text, frozenset(within.value.credentials.allowed_env))

    return Followed("overrides", source, understand, None, dispensable=True)


def base(source: TextSource | None) -> Followed[Any]:
    """HolmesGPT's own toolset file: the user's, and taken as he wrote it."""
    return Followed("base file", source, lambda text: parse(text).data, None, dispensable=True)


def _overrides(text: str, allowed_env: frozenset[str]) -> Any:
    document = parse(text)
    problems = toolset_file_problems(document, allowed_env=allowed_env) if document.data is not None else []
    if problems:
        raise YamlError(problems)
    return document.data
