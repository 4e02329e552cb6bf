"""From what was discovered to what is published: rendered, merged with people's wishes, checked, written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sidecar.config import Config
from sidecar.publish import ConfigMaps, PublishError, remove_leftovers, write_file
from sidecar.wishes import Followed
from toolset import render
from toolset.discovered import Discovery
from toolset.documents import MAX_BYTES, services_problems, toolset_file_problems, toolset_json_problems
from toolset.merge import merge
from toolset.yaml_source import Document, Problem, parse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Targets:
    """Where to publish: a file, ConfigMaps, both or neither.

    ``namespace`` is the service's own, whose ConfigMap holds all of what is discovered.
    """

    toolset_file: Path | None = None
    config_maps: ConfigMaps | None = None
    namespace: str = ""


class Publication:
    """Keeps the published documents as they should be. Safe to call from several threads."""

    def __init__(
        self, targets: Targets, cluster_domain: str, base: Followed[Any], overrides: Followed[Any]
    ) -> None:
        self.confirmed = False
        """Whether this process has written the file, or found it right."""
        self._targets = targets
        self._domain = cluster_domain
        self._base = base
        self._overrides = overrides
        self._lock = threading.Lock()
        self._allowed_env: frozenset[str] = frozenset()
        if targets.toolset_file:
            remove_leftovers(targets.toolset_file)

    @property
    def complete(self) -> bool:
        """Whether all of it has been published once: the file, and the ConfigMap that holds everything."""
        maps = self._targets.config_maps
        return (self.confirmed or self._targets.toolset_file is None) and (
            maps is None or self._targets.namespace in maps.confirmed
        )

    def publish(self, discovery: Discovery, config: Config) -> tuple[str, ...]:
        """Writes what changed. One target failing does not keep the other from being written.

        Returns:
            What failed, one sentence each; what was there before is then still there.
        """
        rendering = render.Settings(self._domain, frozenset(config.trusted_namespaces))
        self._allowed_env = frozenset(config.credentials.allowed_env)
        with self._lock:
            failures: list[str] = []
            try:
                self._publish_file(discovery, rendering)
            except (PublishError, WrongDocumentError) as error:
                log.error("%s", error)
                failures.append(str(error))
            try:
                failures += self._publish_config_maps(discovery, rendering, config)
            except WrongDocumentError as error:
                log.error("configmap not written: %s", error)
                failures.append(str(error))
            return tuple(failures)

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
                self.confirmed = True
                return
            self._base.refresh()
            try:
                self._write(path, {}, Discovery())
            except PublishError as error:
                log.error("%s", error)
                return
            log.warning("nothing could be discovered yet: %s holds the base file alone", path)

    def _publish_file(self, discovery: Discovery, rendering: render.Settings) -> None:
        if self._targets.toolset_file is not None:
            self._write(self._targets.toolset_file, self._document(discovery, rendering), discovery)

    def _write(self, path: Path, document: Mapping[str, Any], discovery: Discovery) -> None:
        merged = merge(self._base.value, document)
        for problem in merged.problems:
            log.error("base file: left out, HolmesGPT would refuse the whole file: %s", problem)
        revised = render.with_revision(merged.document, discovery.discovered)
        if write_file(path, render.toolset_yaml(revised)):
            log.info("wrote %s", path)
        self.confirmed = True

    def _publish_config_maps(
        self, discovery: Discovery, rendering: render.Settings, config: Config
    ) -> list[str]:
        if self._targets.config_maps is None:
            return []
        parts: dict[str, list[Any]] = {}
        for found in discovery.discovered:
            parts.setdefault(found.service.namespace, []).append(found)
        desired = {
            namespace: self._data(Discovery(tuple(part)), rendering) for namespace, part in parts.items()
        }
        desired[self._targets.namespace] = self._data(discovery, rendering)
        return self._targets.config_maps.publish(
            desired, config.namespaces, repair=config.reconciliation.enabled
        )

    def _document(self, discovery: Discovery, rendering: render.Settings) -> Mapping[str, Any]:
        """What is generated, with the overrides over it; checked before anybody may see it."""
        generated = render.toolset_document(discovery.discovered, rendering)
        # Overrides were checked when they were read; of the generated part nothing may be amiss.
        text = render.toolset_yaml(render.with_revision(generated))
        _check("custom_toolset.yaml", text, partial(toolset_file_problems, allowed_env=self._allowed_env))
        return merge(self._overrides.value, generated).document

    def _data(self, discovery: Discovery, rendering: render.Settings) -> dict[str, str]:
        """The keys of one ConfigMap."""
        document = render.with_revision(self._document(discovery, rendering), discovery.discovered)
        data = {
            "custom_toolset.yaml": render.toolset_yaml(document),
            "toolset.json": render.toolset_json(discovery.discovered, rendering),
            "services.yaml": render.services_yaml(discovery.discovered, rendering),
        }
        _check("toolset.json", data["toolset.json"], toolset_json_problems)
        _check("services.yaml", data["services.yaml"], services_problems)
        size = sum(len(text.encode()) for text in data.values())
        if size > MAX_BYTES:
            raise WrongDocumentError(
                f"{size} bytes do not fit into a ConfigMap ({MAX_BYTES}): limit service_discovery.namespaces"
            )
        return data


class WrongDocumentError(Exception):
    """A rendered document that does not meet its own schema, or is too large; the last good one stays."""


def _check(name: str, text: str, problems_of: Callable[[Document], list[Problem]]) -> None:
    problems = problems_of(parse(text))
    if problems:
        raise WrongDocumentError(
            f"{name} is not published, the last good one stays; this is a bug, please report it: "
            + "; ".join(map(str, problems[:5]))
        )
