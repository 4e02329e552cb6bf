"""From what was discovered to what is published: rendered, merged with people's wishes, checked, written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from sidecar.config import Config
from sidecar.files import PublishError, holds, remove_leftovers, write_file
from sidecar.generated import ConfigMapData
from sidecar.reconcile import Desired, scope
from sidecar.wishes import Followed
from toolset import remembered, render
from toolset.discovered import Discovered, Discovery
from toolset.documents import MAX_BYTES, services_problems, toolset_file_problems, toolset_json_problems
from toolset.merge import merge
from toolset.remembered import Remembered
from toolset.yaml_source import Document, Problem, parse

log = logging.getLogger(__name__)


class ConfigMapTarget(Protocol):
    """Where ConfigMaps are published."""

    @property
    def confirmed(self) -> set[str]:
        """Namespaces whose ConfigMap was written, or found right."""

    def publish(self, desired: Desired, *, tell: bool) -> list[str]:
        """These should be there; returns what failed already."""

    def recall(self, namespace: str) -> str:
        """The ``toolset.json`` that is published in a namespace; empty where there is none of ours."""


@dataclass(frozen=True)
class Targets:
    """Where to publish: a file, ConfigMaps, both or neither.

    ``namespaces`` get all of what is discovered: the service's own first, and HolmesGPT's.
    """

    toolset_file: Path | None = None
    config_maps: ConfigMapTarget | None = None
    namespaces: tuple[str, ...] = ()


class Publication:
    """Keeps the published documents as they should be. Safe to call from several threads."""

    def __init__(
        self,
        targets: Targets,
        rendering: Callable[[Config], render.Settings],
        base: Followed[Any],
        overrides: Followed[Any],
        written: Callable[[], object] = lambda: None,
    ) -> None:
        """``written`` is called when the file changed."""
        self.confirmed = False
        """Whether this process has written the file, or found it right."""
        self._targets = targets
        self._rendering = rendering
        self._base = base
        self._overrides = overrides
        self._written = written
        self._lock = threading.Lock()
        self._allowed_env: frozenset[str] = frozenset()
        self._last: dict[str, ConfigMapData] = {}
        self._stamp: object = None
        self._failed = False
        for path in (targets.toolset_file, self._memory):
            if path is not None:
                remove_leftovers(path)

    @property
    def complete(self) -> bool:
        """Whether all of it has been published once: the file, and the ConfigMap that holds everything."""
        maps = self._targets.config_maps
        return (self.confirmed or self._targets.toolset_file is None) and (
            maps is None or self._targets.namespaces[0] in maps.confirmed
        )

    def stirred(self) -> bool:
        """Whether somebody else touched the file since it was written; cheap enough to ask often."""
        path = self._targets.toolset_file
        return path is not None and self.confirmed and not self._failed and _stamp(path) != self._stamp

    def recall(self) -> dict[str, Remembered]:
        """What an earlier process had proven: what it wrote beside the file, and in our own ConfigMap.

        Raises:
            ClusterError: the ConfigMap cannot be read.
        """
        found: dict[str, Remembered] = {}
        maps = self._targets.config_maps
        if maps is not None:
            found |= remembered.read(maps.recall(self._targets.namespaces[0]))
        if self._memory is not None:
            try:
                found = remembered.read(self._memory.read_text("utf-8")) | found
            except (OSError, UnicodeDecodeError) as error:
                log.debug("%s: %s", self._memory, error)
        return found

    @property
    def _memory(self) -> Path | None:
        path = self._targets.toolset_file
        return path.with_name(f".{path.name}.memory") if path else None

    def publish(self, discovery: Discovery, config: Config, *, tell: bool = False) -> tuple[str, ...]:
        """Writes what changed. One target failing does not keep the other from being written.

        With ``tell``, of each ConfigMap is said what is seen.

        Returns:
            What failed, one sentence each; what was there before is then still there.
        """
        rendering = self._rendering(config)
        self._allowed_env = frozenset(config.credentials.allowed_env)
        with self._lock:
            failures: list[str] = []
            try:
                self._publish_file(discovery, rendering)
            except (PublishError, WrongDocumentError) as error:
                log.error("%s", error)
                failures.append(str(error))
                self._failed = True  # the retry of the pass sees to it
            if self._targets.config_maps is not None:
                desired = self._desired(discovery, rendering, failures)
                namespaces = scope(self._targets.namespaces, config.namespaces)
                wanted = Desired(desired, namespaces, config.reconciliation.enabled)
                failures += self._targets.config_maps.publish(wanted, tell=tell)
            return tuple(failures)

    def generated(self, discovery: Discovery, config: Config) -> render.Document:
        """What is published of it for HolmesGPT, without the base file: that is the user's, secrets and all.

        From any thread; it waits for nobody, and nobody for it.
        """
        generated = render.toolset_document(discovery.discovered, self._rendering(config))
        document = merge(self._overrides.value, generated).document
        return render.with_revision(document, discovery.discovered)

    def start_without(self) -> None:
        """Nothing could be discovered in time: a file of before stays, else the user's own toolsets go out.

        HolmesGPT reads the file only if it is there at its start.
        """
        path = self._targets.toolset_file
        with self._lock:
            if self.confirmed or path is None:
                return
            if path.exists():
                log.warning("nothing could be discovered yet: %s of before stays", path)
                self._stamp, self.confirmed = _stamp(path), True
                return
            self._base.refresh()
            try:
                self._write(path, {}, Discovery())
            except PublishError as error:
                log.error("%s", error)
                return
            log.warning("nothing could be discovered yet: %s holds the base file alone", path)

    def _publish_file(self, discovery: Discovery, rendering: render.Settings) -> None:
        path = self._targets.toolset_file
        if path is None or self._memory is None:
            return
        document = self._document(discovery.discovered, rendering)
        if self.stirred() and self._stamp is not None:
            log.warning("%s was changed by somebody else", path)
        self._write(path, document, discovery)
        try:
            write_file(self._memory, render.toolset_json(discovery.discovered, rendering))
        except PublishError as error:
            log.warning("a restart will have to prove everything anew: %s", error)

    def _write(self, path: Path, document: Mapping[str, Any], discovery: Discovery) -> None:
        merged = merge(self._base.value, document)
        for problem in merged.problems:
            log.error("base file: left out, HolmesGPT would refuse the whole file: %s", problem)
        revised = render.with_revision(merged.document, discovery.discovered)
        text = render.toolset_yaml(revised)
        if write_file(path, text):
            log.info("wrote %s", path)
            self._written()
        self._stamp = _stamp(path)
        if not holds(path, text.encode()):
            self._stamp = _CHANGED  # between writing and looking
        self.confirmed, self._failed = True, False

    def _desired(
        self, discovery: Discovery, rendering: render.Settings, failures: list[str]
    ) -> dict[str, ConfigMapData]:
        """Of each namespace its part; where that cannot be written, what was good last."""
        parts: dict[str, list[Discovered]] = {}
        for found in discovery.discovered:
            parts.setdefault(found.service.namespace, []).append(found)
        own, *others = self._targets.namespaces
        parts[own] = list(discovery.discovered)
        desired = {}
        for namespace, part in parts.items():
            try:
                desired[namespace] = self._data(part, rendering)
            except WrongDocumentError as error:
                log.error("configmap of %s not written: %s", namespace, error)
                failures.append(f"configmap of {namespace}: {error}")
                if namespace in self._last:
                    desired[namespace] = self._last[namespace]
        if own in desired:
            desired |= dict.fromkeys(others, desired[own])
        self._last = desired
        return desired

    def _document(self, discovered: Iterable[Discovered], rendering: render.Settings) -> Mapping[str, Any]:
        """What is generated, with the overrides over it; checked before anybody may see it."""
        generated = render.toolset_document(discovered, rendering)
        # Overrides were checked when they were read; of the generated part nothing may be amiss.
        text = render.toolset_yaml(render.with_revision(generated))
        _check("custom_toolset.yaml", text, partial(toolset_file_problems, allowed_env=self._allowed_env))
        return merge(self._overrides.value, generated).document

    def _data(self, discovered: Sequence[Discovered], rendering: render.Settings) -> ConfigMapData:
        """The keys of one ConfigMap."""
        document = render.with_revision(self._document(discovered, rendering), discovered)
        data = {
            "custom_toolset.yaml": render.toolset_yaml(document),
            "toolset.json": render.toolset_json(discovered, rendering),
            "services.yaml": render.services_yaml(discovered, rendering),
        }
        _check("toolset.json", data["toolset.json"], toolset_json_problems)
        _check("services.yaml", data["services.yaml"], services_problems)
        size = sum(len(text.encode()) for text in data.values())
        if size > MAX_BYTES:
            raise WrongDocumentError(
                f"{size} bytes do not fit into a ConfigMap ({MAX_BYTES}): limit service_discovery.namespaces"
            )
        return data


_CHANGED = object()


def _stamp(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


class WrongDocumentError(Exception):
    """A rendered document that does not meet its own schema, or is too large; the last good one stays."""


def _check(name: str, text: str, problems_of: Callable[[Document], list[Problem]]) -> None:
    problems = problems_of(parse(text))
    if problems:
        raise WrongDocumentError(
            f"{name} is not published, the last good one stays; this is a bug, please report it: "
            + "; ".join(map(str, problems[:5]))
        )
