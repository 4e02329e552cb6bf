"""`run --sidecar`: whatever is wrong, HolmesGPT's pod starts, and keeps its own toolsets."""

import time
from pathlib import Path

import pytest
import yaml

from tests.realparts import until
from tests.service import Start

BASE = "toolsets:\n  internet: {enabled: false}\n"
PROMISED_SECONDS = 10


@pytest.fixture
def base(tmp_path: Path) -> Path:
    file = tmp_path / "base.yaml"
    file.write_text(BASE)
    return file


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """The kubeconfig of an API server that never answers: packets to it go nowhere."""
    file = tmp_path / "kubeconfig"
    file.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}],"
        " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}],"
        " contexts: [{name: c, context: {cluster: c, user: u}}]}"
    )
    return file


def test_without_an_api_server_the_base_goes_out_in_time_and_it_goes_on_trying(
    start: Start, base: Path, away: Path
) -> None:
    began = time.monotonic()
    running = start("--sidecar", "--base", str(base), "--kubeconfig", str(away))

    until(lambda: running.status("/startz") == 200, "started", seconds=PROMISED_SECONDS + 3)

    assert time.monotonic() - began < PROMISED_SECONDS
    assert running.toolsets() == {"internet": {"enabled": False}}
    assert running.status("/ready") == 503
    assert running.status("/health") == 200
    assert running.process.poll() is None
    assert running.logged("cannot reach the API server")


def test_a_file_of_before_stays(start: Start, base: Path, away: Path) -> None:
    first = start("--sidecar", "--base", str(base), "--from", "examples/cluster").wait_ready()
    before = first.toolsets()
    first.terminate()
    assert "prometheus/metrics" in before

    second = start("--sidecar", "--base", str(base), "--kubeconfig", str(away))
    until(lambda: second.status("/startz") == 200, "started", seconds=PROMISED_SECONDS + 3)

    assert second.toolsets() == before


def test_a_wrong_configuration_does_not_end_it(start: Start, base: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("service_discovery: {colour: blue}\n")
    running = start("--sidecar", "--base", str(base), "--config", str(config), "--from", "examples/cluster")

    until(lambda: running.status("/startz") == 200, "started", seconds=PROMISED_SECONDS + 3)
    assert running.process.poll() is None
    assert running.logged("service_discovery.colour")
    assert running.toolsets() == {"internet": {"enabled": False}}, "nobody knows what the operator wants"

    mended = tmp_path / "mended.yaml"
    mended.write_text("service_discovery: {service_patterns: {grafana: {enabled: false}}}\n")
    mended.replace(config)  # as a mounted ConfigMap changes: a file half written is another configuration
    until(lambda: "prometheus/metrics" in running.toolsets(), "the mended one is used")
    assert "grafana/dashboards" not in running.toolsets()


def test_a_broken_base_file_is_told_and_what_is_discovered_goes_out(start: Start, tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("toolsets: [\n")
    running = start("--sidecar", "--base", str(base), "--from", "examples/cluster").wait_ready()
    assert "prometheus/metrics" in running.toolsets()
    assert running.logged("base file is not used")


def test_the_file_can_be_read_by_another_user(start: Start) -> None:
    running = start("--sidecar", "--from", "examples/cluster").wait_ready()
    assert running.file.stat().st_mode & 0o777 == 0o644
    assert yaml.safe_load(running.file.read_text())["toolsets"]


def test_a_token_that_comes_late_is_waited_for(start: Start, base: Path) -> None:
    in_a_pod = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "9"}
    running = start("--sidecar", "--base", str(base), env=in_a_pod)
    until(lambda: running.logged("Service token file does not exist"), "it is told")
    until(lambda: running.status("/startz") == 200, "started", seconds=PROMISED_SECONDS + 3)
    assert running.toolsets() == {"internet": {"enabled": False}}
    assert running.process.poll() is None
