"""A watch against a scripted API server: what the real one cannot be made to do at will."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar import watch as module
from sidecar.cluster import Resource
from sidecar.connection import ClusterError, ForbiddenError, GoneError, NotFoundError
from sidecar.store import Store
from sidecar.watch import Watch, Watches
from tests.realparts import until

THINGS = Resource("things")


def thing(name: str, version: int, namespace: str = "shop") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name, "resourceVersion": str(version)}}


def event(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


GONE = event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})


class Stream:
    """Gives its events, then waits to be ended, or breaks off."""

    def __init__(self, events: list[Any], *, ends: bool) -> None:
        self._events = events
        self._ends = ends
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        for one in self._events:
            if isinstance(one, BaseException):
                raise one
            yield one
        if not self._ends:
            self._ended.wait(10)

    def end(self) -> None:
        self._ended.set()


@dataclass
class Server:
    """Answers lists and watches one after another by a script; the last one for ever."""

    lists: list[Any]
    streams: list[Any] = field(default_factory=list)
    listed: int = 0
    watched_from: list[str] = field(default_factory=list)

    def pages(self, resource: Resource) -> Iterator[tuple[list[Any], str]]:
        answer = self.lists[min(self.listed, len(self.lists) - 1)]
        self.listed += 1
        if isinstance(answer, BaseException):
            raise answer
        yield answer, "100"

    @contextmanager
    def stream(self, path: str, query: dict[str, str], silence: float) -> Iterator[Stream]:
        self.watched_from.append(query["resourceVersion"])
        answer = self.streams.pop(0) if self.streams else []
        if isinstance(answer, BaseException):
            raise answer
        yield Stream(answer, ends=bool(self.streams))


@contextmanager
def watching(server: Server, **options: Any) -> Iterator[tuple[Watch, Store[str]]]:
    store: Store[str] = Store(lambda obj: obj["metadata"]["name"])
    watch = Watch(server, THINGS, store, **options)  # type: ignore[arg-type]
    watch.start()
    try:
        yield watch, store
    finally:
        watch.stop()


def test_it_lists_once_and_goes_on_from_the_version_of_the_list() -> None:
    server = Server([[thing("a", 1)]], [[event("ADDED", thing("b", 101)), event("DELETED", thing("a", 102))]])
    with watching(server) as (watch, store):
        until(lambda: store.values() == ["b"], "it followed", seconds=5)
        assert (server.listed, server.watched_from, watch.synced) == (1, ["100"], True)


def test_a_stream_that_ends_is_followed_by_one_from_the_last_version_heard_of() -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "150"}})
    restarts: list[int] = []
    server = Server([[]], [[event("ADDED", thing("a", 120))], [bookmark], []])
    with watching(server, restarted=lambda: restarts.append(1)):
        until(lambda: server.watched_from == ["100", "120", "150"], "it went on", seconds=5)
        until(lambda: len(restarts) == 2, "both are counted", seconds=5)
    assert server.listed == 1, "a lost stream costs no list"


def test_what_is_counted_is_streams_and_not_attempts() -> None:
    restarts: list[int] = []
    away = ClusterError("cannot reach the API server")
    server = Server([[]], [[event("ADDED", thing("a", 120))], away, away, []])
    with watching(server, restarted=lambda: restarts.append(1)):
        until(lambda: len(server.watched_from) == 4, "it went on", seconds=5)
        until(lambda: restarts, "it is counted", seconds=5)
    assert len(restarts) == 1


def test_a_stream_that_breaks_off_is_no_failure() -> None:
    server = Server([[]], [[ClusterError("the stream broke off")], []])
    with watching(server) as (watch, _):
        until(lambda: len(server.watched_from) == 2, "it went on", seconds=5)
        assert watch.problem == ""


@pytest.mark.parametrize("how", ["as an event", "as a status"])
def test_a_version_that_is_too_old_is_listed_anew_and_quietly(how: str) -> None:
    gone: Any = [GONE] if how == "as an event" else GoneError("too old", 410)
    server = Server([[thing("a", 1)], [thing("b", 2)]], [gone, []])
    with watching(server) as (watch, store):
        until(lambda: store.values() == ["b"], "it listed anew", seconds=5)
        assert watch.problem == ""


def test_what_cannot_be_seen_keeps_what_was_seen_and_is_told_once_each_way() -> None:
    changes: list[int] = []
    refused = ForbiddenError("things is forbidden", 403)
    server = Server([[thing("a", 1)], refused], [GoneError("too old", 410)])
    with watching(server, changed=lambda: changes.append(1), relist_after=lambda: 0.01) as (watch, store):
        until(lambda: watch.problem == "things is forbidden", "it is told", seconds=5)
        assert store.values() == ["a"]
        server.lists = [[thing("a", 1)]]
        until(lambda: watch.problem == "", "it can be seen again", seconds=5)
    assert len(changes) == 3, "the first list, the failure, the recovery"


def test_a_resource_that_does_not_exist_is_one_without_objects_where_it_is_optional() -> None:
    server = Server([NotFoundError("no such resource", 404)])
    with watching(server, optional=True) as (watch, store):
        until(lambda: watch.synced, "it counts as seen", seconds=5)
        assert (store.values(), watch.problem) == ([], "")


def test_a_version_of_the_future_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An etcd that was restored from a backup knows nothing of the version that was heard of last."""
    future = ClusterError("Too large resource version", 504)
    server = Server([[thing("a", 1)], [thing("restored", 2)]], [future] * 4 + [[]])
    with watching(server) as (_, store):
        until(lambda: store.values() == ["restored"], "it listed anew", seconds=15)


def test_what_is_worth_keeping_can_change() -> None:
    server = Server([[thing("a", 1)], [thing("b", 1)]], [[]])
    with watching(server) as (watch, store):
        until(lambda: server.watched_from, "it watches", seconds=5)
        watch.relist()
        until(lambda: store.values() == ["b"], "it listed anew", seconds=5)


def test_an_event_of_an_unknown_type_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    server = Server([[]], [[event("SURPRISE", thing("x", 101)), event("ADDED", thing("a", 102))]])
    with watching(server) as (_, store):
        until(lambda: store.values() == ["a"], "it went on", seconds=5)
    assert "SURPRISE" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_not_alive() -> None:
    class Deadly(Store[str]):
        def put(self, obj: Any) -> bool:
            raise SystemExit

    server = Server([[]], [[event("ADDED", thing("a", 101))]])
    watch = Watch(server, THINGS, Deadly(str))  # type: ignore[arg-type]
    watch.start()
    until(lambda: not watch.alive, "its thread is dead", seconds=5)


def test_a_thread_that_hangs_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(Server([[]])) as (watch, _):
        assert watch.alive
        monkeypatch.setattr(module, "HUNG_SECONDS", -1.0)
        assert not watch.alive


def test_a_bug_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    server = Server([RuntimeError("a bug"), [thing("a", 1)]])
    with watching(server) as (_, store):
        until(lambda: store.values() == ["a"], "it went on", seconds=5)
    assert "please report it" in caplog.text


class TestManyNamespaces:
    def scopes(self, watches: Watches) -> set[str]:
        return {watch.resource.namespace for watch in watches}

    def test_a_few_are_watched_one_by_one_and_more_by_one_watch_of_all(self) -> None:
        store: Store[str] = Store(lambda obj: obj["metadata"]["name"])
        watches = Watches(Server([[]]), lambda ns: Resource("things", namespace=ns), store)  # type: ignore[arg-type]
        watches.cover(["a", "b"])
        assert self.scopes(watches) == {"a", "b"}
        watches.cover(["b", "c"])
        assert self.scopes(watches) == {"b", "c"}
        watches.cover([str(n) for n in range(11)])
        assert self.scopes(watches) == {""}
        watches.cover([])
        assert self.scopes(watches) == {""}
        watches.stop()

    def test_a_list_of_one_namespace_leaves_the_others_alone(self) -> None:
        store: Store[str] = Store(lambda obj: obj["metadata"]["name"])
        store.replace([thing("a", 1, "one"), thing("b", 1, "two")])
        store.replace([thing("c", 2, "two")], "two")
        assert store.values() == ["a", "c"]
