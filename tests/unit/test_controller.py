"""When the service is ready, started and alive, without a cluster: the rest is shown on a real one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sidecar import controller
from sidecar.controller import Controller
from sidecar.metrics import Metrics
from sidecar.prove import Question
from sidecar.publication import Targets
from sidecar.reconcile import Desired
from sidecar.settings import Settings
from sidecar.sources import ManifestSource
from sidecar.threads import Part
from tests.realparts import until

EXAMPLES = str(Path(__file__).resolve().parents[2] / "examples/cluster")


@dataclass
class ConfigMapsOfACluster:
    """Takes ConfigMaps, but in the namespaces where it is told to refuse them."""

    refuses: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)

    def publish(self, desired: Desired, *, tell: bool) -> list[str]:
        self.confirmed |= desired.data.keys() - self.refuses
        return [f"{namespace} was not written" for namespace in desired.data if namespace in self.refuses]

    def recall(self, namespace: str) -> str:
        return ""


class Moon(Part):
    """Something that runs beside the loop, until it is told to or dies."""

    def __init__(self) -> None:
        super().__init__("watch of the moon")
        self.dies = threading.Event()
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True
        self.dies.set()

    def _run(self) -> None:
        self.dies.wait()


def service(maps: ConfigMapsOfACluster, file: Path | None = None, *parts: Part) -> Controller:
    targets = Targets(file, maps, ("own",))
    settings = Settings(ManifestSource(EXAMPLES), False, targets, parts=parts)
    return Controller(settings, Metrics(CollectorRegistry()))


@contextmanager
def running(made: Controller) -> Iterator[Controller]:
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_it_is_ready_once_everything_was_published() -> None:
    made = service(ConfigMapsOfACluster())
    assert not made.ready
    assert made.look()
    assert made.ready


def test_without_the_config_map_that_holds_everything_it_is_not_ready() -> None:
    maps = ConfigMapsOfACluster(refuses={"own"})
    made = service(maps)
    assert not made.look()
    assert not made.ready
    assert made.failures == ("own was not written",)
    maps.refuses.clear()
    assert made.look()
    assert made.ready


def test_one_namespace_that_refuses_does_not_keep_it_from_being_ready() -> None:
    made = service(ConfigMapsOfACluster(refuses={"shop"}))
    assert not made.look()
    assert made.ready


def test_it_is_started_with_the_file_alone(tmp_path: Path) -> None:
    made = service(ConfigMapsOfACluster(refuses={"own"}), tmp_path / "custom_toolset.yaml")
    made.look()
    assert made.started
    assert not made.ready


def test_an_end_that_is_near_is_not_ready() -> None:
    made = service(ConfigMapsOfACluster())
    made.look()
    made.stop()
    assert not made.ready


def test_the_loop_looks_by_itself_and_ends_when_it_is_told(tmp_path: Path) -> None:
    part = Moon()
    file = tmp_path / "custom_toolset.yaml"
    with running(service(ConfigMapsOfACluster(), file, part)) as made:
        until(lambda: made.ready, "it is ready", seconds=10)
        assert made.dead == []
        assert not part.stopped
    assert part.stopped
    assert "prometheus/metrics" in file.read_text()


def test_a_file_that_somebody_changed_is_put_right(tmp_path: Path) -> None:
    file = tmp_path / "custom_toolset.yaml"
    with running(service(ConfigMapsOfACluster(), file)) as made:
        until(lambda: made.ready, "it is ready", seconds=10)
        right = file.read_bytes()
        file.write_text("toolsets: {evil: {}}\n")
        until(lambda: file.read_bytes() == right, "it is put right", seconds=10)
        file.unlink()
        until(lambda: file.exists() and file.read_bytes() == right, "it is there again", seconds=10)


def test_a_place_that_cannot_be_written_is_told_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is replaced by something that is none, and later by another one."""
    monkeypatch.setattr(controller, "RETRY_SECONDS", 0.5)
    place = tmp_path / "out"
    file = place / "custom_toolset.yaml"
    with running(service(ConfigMapsOfACluster(), file)) as made:
        until(lambda: made.ready, "it is ready", seconds=10)
        right = file.read_bytes()
        place.rename(tmp_path / "gone")
        place.write_text("in the way")
        until(lambda: any(str(file) in failure for failure in made.failures), "it is told", seconds=10)
        assert made.ready
        assert made.dead == []
        place.unlink()
        place.mkdir()
        until(lambda: file.exists() and file.read_bytes() == right, "it is there again", seconds=10)
        until(lambda: made.failures == (), "and nothing is amiss any more", seconds=10)


def test_what_does_not_run_any_more_is_named() -> None:
    part = Moon()
    with running(service(ConfigMapsOfACluster(), None, part)) as made:
        until(lambda: made.ready, "it is ready", seconds=10)
        part.dies.set()
        until(lambda: made.dead == ["watch of the moon"], "it is named", seconds=5)


def test_a_loop_that_does_not_turn_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    made = service(ConfigMapsOfACluster())
    assert made.dead == []
    monkeypatch.setattr(controller, "STUCK_SECONDS", -1.0)
    assert made.dead == ["discovery loop"]


def test_a_pass_ends_though_answers_never_cease() -> None:
    """Somebody with thousands of Services could have one come just before there is silence."""
    asked = Question(())
    for seconds, over in ((controller.PASS_SECONDS - 1, False), (controller.PASS_SECONDS + 1, True)):
        under_way = controller._Pass(0.0, True, awaited={1: asked}, heard_at=seconds)
        assert under_way.over(seconds) is over
