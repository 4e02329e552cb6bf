"""Services from manifests: what ``kubectl get services -A -o yaml`` or ``helm template`` prints.

Stands where the cluster stands when there is none: a file, a directory, or standard input. Manifests
that hold the workloads too tell more: see :mod:`toolset.workload`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolset import workload
from toolset.service import InvalidServiceError, Service
from toolset.yaml_source import Document, YamlError, dotted, parse_all
from toolset.yaml_source import Path as YamlPath

SUFFIXES = frozenset({".yaml", ".yml", ".json"})

MAX_BYTES = 256 * 1024 * 1024
"""A manifest larger than this is refused: 10,000 Services are about 15 MB."""

_LINE_DEPTH = 2
"""Lines are known of documents and of the items of a List."""


@dataclass(frozen=True)
class Manifests:
    """The Services of a set of manifests, and what could not be read of it and why."""

    services: tuple[Service, ...]
    problems: tuple[str, ...] = ()


class ManifestError(Exception):
    """The path that was given holds no manifest at all."""


def read(path: str) -> Manifests:
    """Reads a file, every manifest of a directory, or standard input (``-``).

    One broken manifest costs its own Services only.

    Raises:
        ManifestError: there is nothing at ``path`` that could be read.
    """
    problems: list[str] = []
    return _read(_texts(path, problems), problems)


def read_text(text: str) -> Manifests:
    """Reads manifests that are at hand; what is broken costs its own Services only."""
    return _read([("manifests", text)], [])


def _read(texts: Iterable[tuple[str, str]], problems: list[str]) -> Manifests:
    services: dict[str, Service] = {}
    beside = _Beside()
    for source, text in texts:
        try:
            for document in _documents(text):
                for service in _services(document, source, problems, beside):
                    services[service.key] = service
        except YamlError as error:
            problems += [f"{source}: {problem}" for problem in error.problems]
    known = beside.complete(services.values())
    return Manifests(tuple(sorted(known, key=lambda s: (s.namespace, s.name))), tuple(problems))


@dataclass
class _Beside:
    """What stands beside the Services and tells of them."""

    workloads: list[Mapping[str, Any]] = field(default_factory=list)
    config_maps: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def take(self, obj: Mapping[str, Any]) -> None:
        if obj.get("kind") in workload.KINDS:
            self.workloads.append(obj)
        elif obj.get("kind") == "ConfigMap":
            meta, data = obj.get("metadata"), obj.get("data")
            if isinstance(meta, Mapping) and isinstance(data, Mapping):
                self.config_maps[str(meta.get("namespace") or "default"), str(meta.get("name"))] = data

    def complete(self, services: Iterable[Service]) -> Iterator[Service]:
        by_namespace: dict[str, list[workload.Workload]] = {}
        for obj in self.workloads:
            known = workload.read(obj, self.config_maps)
            by_namespace.setdefault(known.namespace, []).append(known)
        for service in services:
            behind = [it for it in by_namespace.get(service.namespace, ()) if it.is_behind(service)]
            lines = tuple(line for it in behind for line in it.lines)
            yield replace(service, workload=lines) if lines else service


def fingerprint(path: str) -> str:
    """Changes whenever a manifest below ``path`` does; does not read them."""
    digest = hashlib.sha256()
    with contextlib.suppress(OSError):  # what cannot be listed is told by :func:`read`
        for file in _files(Path(path)):
            with contextlib.suppress(OSError):
                stat = file.stat()
                digest.update(f"{file}\0{stat.st_mtime_ns}\0{stat.st_size}\0{stat.st_ino}\n".encode())
    return digest.hexdigest()


def _texts(path: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    if path == "-":
        try:
            text = sys.stdin.read()
        except UnicodeDecodeError:
            raise ManifestError("standard input: is not UTF-8") from None
        yield "standard input", text
        return
    if not Path(path).exists():
        raise ManifestError(f"{path}: no such file or directory; give a manifest, a directory of them, or -")
    try:
        files = _files(Path(path))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    if not files:
        raise ManifestError(f"{path}: holds no manifest (*.yaml, *.yml, *.json)")
    for file in files:
        try:
            if file.stat().st_size > MAX_BYTES:
                problems.append(f"{file}: larger than {MAX_BYTES} bytes")
                continue
            yield str(file), file.read_text("utf-8")
        except UnicodeDecodeError:
            problems.append(f"{file}: is not UTF-8")
        except OSError as error:
            problems.append(f"{file}: cannot be read: {error.strerror}")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # Editors leave hidden files; a mounted ConfigMap keeps its versions in hidden directories.
    return sorted(
        file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")
    )


def _documents(text: str) -> list[Document]:
    # JSON is YAML, but its own parser is a hundred times faster.
    if text.lstrip()[:1] == "{":
        try:
            return [Document(json.loads(text))]
        except (ValueError, RecursionError):
            pass
    return parse_all(text, line_depth=_LINE_DEPTH)


def _services(document: Document, source: str, problems: list[str], beside: _Beside) -> Iterator[Service]:
    for path, obj in _objects(document.data):
        where = f"{source}: line {document.line(path)}" if document.lines else f"{source}{_place(path)}"
        if not isinstance(obj, Mapping):
            problems.append(f"{where}: expected a Kubernetes object, found {obj!r:.60}")
            continue
        if obj.get("kind") != "Service" or obj.get("apiVersion", "v1") != "v1":
            beside.take(obj)
            continue
        try:
            yield Service.from_object(obj)
        except InvalidServiceError as error:
            problems.append(f"{where}: {error}")


def _place(path: YamlPath) -> str:
    """Where in a JSON text, whose lines are not known."""
    return f": {dotted(path)}" if path else ""


def _objects(data: Any) -> Iterator[tuple[YamlPath, Any]]:
    if data is None:
        return
    if isinstance(data, Mapping) and isinstance(data.get("items"), list):
        # "kubectl get -o json" of an older server leaves kind out of a ServiceList's items.
        kind = str(data.get("kind", "")).removesuffix("List")
        for index, item in enumerate(data["items"]):
            if isinstance(item, Mapping) and kind:
                item = {"kind": kind, **item}  # noqa: PLW2901 - completed, not replaced
            yield ("items", index), item
    else:
        yield (), data
