"""What goes where: one target or namespace that cannot be written costs no other."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sidecar import publication, wishes
from sidecar.config import Config
from sidecar.discovery import Discoverer
from sidecar.prove import NoProber
from sidecar.publication import Publication, Targets
from sidecar.recognised import recognise
from sidecar.reconcile import Desired
from tests.unit.builders import backend, catalogue, service
from toolset import render
from toolset.discovered import Discovery

LAMPS = catalogue(backend("lamp"))


@dataclass
class Maps:
    """Takes what should be there."""

    desired: Desired = field(default_factory=Desired)
    confirmed: set[str] = field(default_factory=set)
    before: str = ""

    def publish(self, desired: Desired, *, tell: bool) -> list[str]:
        self.desired = desired
        return []

    def recall(self, namespace: str) -> str:
        return self.before


def discovery(*namespaces: str) -> Discovery:
    seen = recognise([service("lamp", at, uid=at) for at in namespaces], LAMPS, Config(), "cluster.local")
    return Discoverer(Config()).discover(seen, NoProber(), 0)


def made(maps: Maps, file: Path | None = None, *more: str) -> Publication:
    config = wishes.config(None)
    targets = Targets(file, maps, ("own", *more))
    return Publication(
        targets, lambda _: render.Settings(), wishes.base(None), wishes.overrides(None, config)
    )


def test_each_namespace_gets_its_part_and_our_own_and_holmesgpts_all_of_it() -> None:
    maps = Maps()
    made(maps, None, "holmes").publish(discovery("a", "b"), Config())
    count = {at: data["services.yaml"].count("endpoint:") for at, data in maps.desired.data.items()}
    assert count == {"a": 1, "b": 1, "own": 2, "holmes": 2}


def test_what_does_not_fit_into_a_config_map_costs_that_namespace_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    maps = Maps()
    published = made(maps)
    assert published.publish(discovery("a"), Config()) == ()
    last_good = maps.desired.data["own"]
    size = sum(len(text) for text in last_good.values())
    monkeypatch.setattr(publication, "MAX_BYTES", size + 100)

    [failure] = published.publish(discovery("a", "b"), Config())

    assert "configmap of own:" in failure
    assert "limit service_discovery.namespaces" in failure
    assert set(maps.desired.data) == {"a", "b", "own"}
    assert maps.desired.data["own"] == last_good, "the last good one stays"


def test_a_file_that_cannot_be_written_keeps_no_config_map_from_it(tmp_path: Path) -> None:
    maps = Maps()
    (tmp_path / "in-the-way").write_text("")
    [failure] = made(maps, tmp_path / "in-the-way" / "x.yaml").publish(discovery("a"), Config())
    assert "cannot be written" in failure
    assert set(maps.desired.data) == {"a", "own"}


def test_only_where_it_is_looked_for_services_is_it_looked_for_config_maps() -> None:
    maps = Maps()
    published = made(maps)
    published.publish(discovery("a"), Config(namespaces=("a",)))
    assert maps.desired.namespaces == ("a", "own")
    published.publish(discovery("a"), Config())
    assert maps.desired.namespaces == (), "everywhere"


def test_what_is_written_is_what_a_later_process_takes_up(tmp_path: Path) -> None:
    maps = Maps()
    file = tmp_path / "custom_toolset.yaml"
    published = made(maps, file)
    published.publish(discovery("a"), Config())
    maps.before = maps.desired.data["own"]["toolset.json"].replace("unproven", "verified")
    assert set(published.recall()) == {"a/lamp"}
    (tmp_path / ".custom_toolset.yaml.memory").write_bytes(b"\xff")
    assert set(published.recall()) == {"a/lamp"}
    maps.before = "nonsense"
    assert published.recall() == {}


def test_what_a_killed_process_left_half_written_is_removed_of_the_file_and_of_the_memory(
    tmp_path: Path,
) -> None:
    for name in (".custom_toolset.yaml.x.tmp", "..custom_toolset.yaml.memory.x.tmp"):
        (tmp_path / name).touch()
    made(Maps(), tmp_path / "custom_toolset.yaml")
    assert list(tmp_path.iterdir()) == []
