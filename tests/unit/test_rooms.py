"""The house: which room may know which, and nothing goes in a circle (docs/architecture.md)."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter

import pytest

from tests.realparts import ROOT

ROOMS = {
    "toolset": set[str](),
    "process": {"toolset"},
    "sidecar": {"toolset", "process"},
    "webhook": {"toolset", "process"},
}
OUTSIDE = {
    "aiohttp",
    "flask",
    "gunicorn",
    "http",
    "kubernetes",
    "requests",
    "socket",
    "ssl",
    "subprocess",
    "urllib3",
}
"""What does I/O; the domain does none."""

LONGEST = 400
"""Lines of a module."""


def modules(room: str) -> Iterator[tuple[str, str]]:
    """Name and source of each module of a room."""
    for path in sorted((ROOT / room).rglob("*.py")):
        yield (
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"),
            path.read_text(),
        )


def imported(source: str) -> Iterator[str]:
    """What a module imports, by full name: of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_only_the_rooms_before_it(room: str) -> None:
    for name, source in modules(room):
        known = {what.partition(".")[0] for what in imported(source)} & ROOMS.keys()
        assert known <= {room, *ROOMS[room]}, name


def test_the_domain_does_no_io() -> None:
    for name, source in modules("toolset"):
        assert {what.partition(".")[0] for what in imported(source)}.isdisjoint(OUTSIDE), name


def test_no_module_needs_itself() -> None:
    sources = dict(pair for room in ROOMS for pair in modules(room))
    graph = {name: (set(imported(source)) & sources.keys()) - {name} for name, source in sources.items()}
    for room in ROOMS:
        graph[room] = set()  # a package's own docstring
    assert list(TopologicalSorter(graph).static_order()), "or a CycleError names the circle"


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_is_too_long_to_be_read(room: str) -> None:
    assert [name for name, source in modules(room) if source.count("\n") > LONGEST] == []
