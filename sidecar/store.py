"""What is kept of the objects that a watch tells of. Written by the watch, read by any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from sidecar.connection import JsonObject

T = TypeVar("T")


class Sink(Protocol):
    """Takes what a list or a watch tells; each method returns whether anything changed by it."""

    def replace(self, objects: Iterable[JsonObject], namespace: str = "") -> bool:
        """These are all there are, in the namespace where one is given."""

    def put(self, obj: JsonObject) -> bool:
        """This one was added or changed."""

    def drop(self, obj: JsonObject) -> bool:
        """This one is gone."""


class Store(Generic[T]):
    """Keeps of each object what ``understand`` makes of it, and nothing of those it makes None of."""

    def __init__(self, understand: Callable[[JsonObject], T | None]) -> None:
        self._understand = understand
        self._items: dict[tuple[str, str], T] = {}
        self._lock = threading.Lock()

    def values(self) -> list[T]:
        """All that is kept, in the order of namespaces and names."""
        with self._lock:
            return [self._items[key] for key in sorted(self._items)]

    def get(self, namespace: str, name: str) -> T | None:
        """What is kept of one object."""
        with self._lock:
            return self._items.get((namespace, name))

    def replace(self, objects: Iterable[JsonObject], namespace: str = "") -> bool:
        """What is not among them is gone; nothing changes if reading them fails midway."""
        items = {_key(obj): kept for obj in objects if (kept := self._understand(obj)) is not None}
        with self._lock:
            if namespace:
                items |= {key: kept for key, kept in self._items.items() if key[0] != namespace}
            changed = items != self._items
            self._items = items
        return changed

    def put(self, obj: JsonObject) -> bool:
        """Added or changed; or no longer worth keeping."""
        kept = self._understand(obj)
        if kept is None:
            return self.drop(obj)
        with self._lock:
            changed = self._items.get(_key(obj)) != kept
            self._items[_key(obj)] = kept
        return changed

    def drop(self, obj: JsonObject) -> bool:
        """Gone."""
        with self._lock:
            return self._items.pop(_key(obj), None) is not None


def _key(obj: JsonObject) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
