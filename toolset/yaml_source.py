"""YAML with line numbers: what a person wrote, and where each value stands.

PyYAML's safe constructors read the scalars. On top of them: duplicate keys are errors, anchors and
merge keys are refused (an alias repeated ten times ten times is a bomb, and HolmesGPT's own loader
would not see what we saw), and each value remembers its line for the errors about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

_YAML = "tag:yaml.org,2002:"
_READ_AS_TEXT = frozenset(_YAML + name for name in ("timestamp", "value", "merge"))  # 2026-11-24, = and <<
_TAGS = _READ_AS_TEXT | {_YAML + name for name in ("map", "seq", "str", "int", "float", "bool", "null")}

MAX_DEPTH = 40
"""Nesting that is read. Kubernetes manifests and HolmesGPT's files stay below 20."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file: where (line from 1, 0 when unknown; dotted path), and what is allowed."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path + ': ' if self.path else ''}{self.message}"


# libyaml's parser is an order of magnitude faster, where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(ValueError):
    """A text that cannot be read as one safe YAML document; ``problems`` says why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


@dataclass(frozen=True)
class Document:
    """One YAML document: its data, and the line of each value by path."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict, repr=False)

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest mapping around it that the text holds."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, message: str) -> Problem:
        """A :class:`Problem` about the value at ``path``."""
        return Problem(self.line(path), dotted(path), message)


def dotted(path: Path) -> str:
    """``("a", 0, "b.c")`` as people write it: ``a[0]."b.c"``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (f'"{part}"' if "." in part else part)
    return text


def parse(text: str) -> Document:
    """Reads exactly one document.

    Raises:
        YamlError: not YAML, more than one document, a duplicate key, an anchor, a tag, too deep.
    """
    documents = parse_all(text)
    if len(documents) > 1:
        raise YamlError([Problem(documents[1].line(()), "", "a second document: one is allowed")])
    return documents[0] if documents else Document(None)


def parse_all(text: str, *, line_depth: int = MAX_DEPTH) -> list[Document]:
    """Reads every document of a stream, as ``kubectl get -o yaml`` and ``helm template`` print them.

    Lines are remembered down to ``line_depth`` levels: manifests of a whole cluster need few.

    Raises:
        YamlError: as :func:`parse`.
    """
    reader = _Reader(line_depth)
    try:
        documents = [reader.document(node) for node in yaml.compose_all(text, Loader=_LOADER)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"not YAML: {error.problem or error.context}"
        raise YamlError([Problem(mark.line + 1 if mark else 0, "", message)]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise YamlError([Problem(0, "", f"not YAML: {str(error)[:200]}")]) from error
    if reader.problems:
        raise YamlError(reader.problems)
    return documents


class _Reader:
    """Turns nodes into plain data, noting each line and every problem on the way."""

    def __init__(self, line_depth: int) -> None:
        self.problems: list[Problem] = []
        self._line_depth = line_depth
        self._scalars = yaml.constructor.SafeConstructor()
        self._seen: set[yaml.Node] = set()

    def document(self, node: yaml.Node) -> Document:
        document = Document(None, {})
        data = self._value(node, (), document.lines)
        return Document(data, document.lines)

    def _value(self, node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
        if len(path) <= self._line_depth:
            lines[path] = node.start_mark.line + 1
        if len(path) > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=node.start_mark)
        if node in self._seen:  # the composer resolves an alias to the very node of its anchor
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=node.start_mark)
        self._seen.add(node)
        if node.tag not in _TAGS:
            self._problem(node, path, f"the tag {node.tag.replace(_YAML, '!!')} is not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, lines)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index), lines) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key_node.tag == "tag:yaml.org,2002:merge":
                self._problem(key_node, path, "merge keys and keys that are no text are not allowed")
            elif key in result:
                self._problem(key_node, (*path, key), "the key is there twice")
            else:
                result[key] = self._value(value_node, (*path, key), lines)
        return result

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        if node.tag in _READ_AS_TEXT:
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._problem(node, path, f"not a value that is understood: {str(error).splitlines()[0][:100]}")
            return None

    def _problem(self, node: yaml.Node, path: Path, message: str) -> None:
        self.problems.append(Problem(node.start_mark.line + 1, dotted(path), message))
