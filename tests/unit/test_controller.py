"""When the service is ready, started and alive, without a cluster: the rest is shown on a real one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sidecar import controller
from sidecar.cluster import ClusterError, ForbiddenError
from sidecar.controller import Controller, Settings
from sidecar.metrics import Metrics
from sidecar.publication import Targets
from sidecar.publish import ConfigMaps
from sidecar.sources import ManifestSource

EXAMPLES = str(Path(__file__).resolve().parents[2] / "examples/cluster")


@dataclass
class ConfigMapsOfACluster:
    """Takes ConfigMaps, but in the namespaces where it is told to refuse them."""

    refuses: set[str] = field(default_factory=set)
    written: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def config_maps(self, name: str, namespaces: Sequence[str] = ()) -> list[dict[str, Any]]:
        return [{"metadata": {"namespace": namespace}} for namespace in self.written]

    def apply_config_map(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        namespace = obj["metadata"]["namespace"]
        if namespace in self.refuses:
            raise ForbiddenError("not allowed", 403)
        self.written[namespace] = obj
        return dict(obj)

    def delete_config_map(self, obj: Mapping[str, Any]) -> None:
        raise ClusterError("nothing is deleted here")


def service(cluster: ConfigMapsOfACluster, file: Path | None = None) -> Controller:
    metrics = Metrics(CollectorRegistry())
    targets = Targets(file, ConfigMaps(cluster, metrics.configmap_updates), "own")
    return Controller(Settings(ManifestSource(EXAMPLES), False, targets), metrics)


def test_it_is_ready_once_everything_was_published() -> None:
    made = service(ConfigMapsOfACluster())
    assert not made.ready
    assert made.look()
    assert made.ready


def test_without_the_config_map_that_holds_everything_it_is_not_ready() -> None:
    cluster = ConfigMapsOfACluster(refuses={"own"})
    made = service(cluster)
    assert not made.look()
    assert not made.ready
    assert "own/kubernaut-toolset-config was not written: not allowed" in made.report.failures[0]
    cluster.refuses.clear()
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


def test_a_loop_that_does_not_turn_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    made = service(ConfigMapsOfACluster())
    assert made.alive
    monkeypatch.setattr(controller, "STUCK_SECONDS", -1.0)
    assert not made.alive
