"""`docs/adding-a-backend.md`, followed: its file lets the real HolmesGPT use a real Pushgateway."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documentation import page
from tests.home import Home, service
from tests.programs import Holmes, Serve
from tests.realparts import LOCAL, ROOT
from toolset.catalogue import bundled

PAGE = page("adding-a-backend.md")
YAML = PAGE.partition("```yaml\n")[2].partition("```")[0]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """This repository's packages, with the page's file beside the others."""
    place = tmp_path / "copy"
    for package in ("toolset", "process", "sidecar"):
        shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "toolset/backends/pushgateway.yaml").write_text(YAML)
    return place


def typed(copy: Path, home: Home, *arguments: str) -> str:
    """What `dynamic-toolset …` of the copy prints."""
    line = [sys.executable, "-c", "from process.cli import main; main()", *arguments]
    env = {**os.environ, **home.env, "PYTHONPATH": str(copy)}
    done = subprocess.run(line, env=env, cwd=copy, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_is_no_backend_yet() -> None:
    assert "pushgateway" not in bundled(), "the page needs another example"


def test_with_the_pages_file_it_is_recognised_proven_and_used(
    home: Home, pushgateway: Serve, cluster_ip: Callable[[], str], holmes: Holmes, copy: Path, tmp_path: Path
) -> None:
    address = cluster_ip()
    pushgateway(f"{address}:9091")
    home.plane.apply(service(home.watched, "pushgateway", address, 9091))
    answer = LOCAL.get(f"http://{address}:9091/api/v1/status", timeout=5).json()
    assert {"build_information", "flags", "start_time"} <= answer["data"].keys(), "step 1 shows what is so"

    told = typed(copy, home, "explain", f"{home.watched}/pushgateway")
    assert "GET /api/v1/status answered as Pushgateway does" in told
    assert "verified: pushgateway at" in told

    file = tmp_path / "custom_toolset.yaml"
    file.write_text(typed(copy, home, "discover", "--output", "holmes"))
    assert "a valid toolset" in typed(copy, home, "validate", str(file))

    host = f"pushgateway.{home.watched}.svc.cluster.local"
    LOCAL.post(f"http://{address}:9091/metrics/job/nightly", data="rows 7\n", timeout=5).raise_for_status()
    name = f"pushgateway/{home.watched}__pushgateway"
    loaded = holmes(file, dns={host: address})
    assert loaded["outcome"] == "loaded", loaded
    [name] = [name for name in loaded["toolsets"] if name.startswith("pushgateway/")]
    toolset = loaded["toolsets"][name]
    assert toolset["status"] == "enabled", toolset
    call = (toolset["tools"][0], {"url": f"http://{host}:9091/api/v1/metrics", "method": "GET"})
    [invoked] = holmes(file, dns={host: address}, invoke=[call])["invocations"]
    assert "nightly" in json.dumps(invoked), invoked


@pytest.mark.parametrize("wrong", ["prometheus", "node-exporter"])
def test_its_proof_is_passed_by_nobody_else(
    home: Home,
    prometheus: Serve,
    node_exporter: Serve,
    cluster_ip: Callable[[], str],
    copy: Path,
    wrong: str,
) -> None:
    address = cluster_ip()
    (prometheus if wrong == "prometheus" else node_exporter)(f"{address}:9091")
    home.plane.apply(service(home.watched, "pushgateway", address, 9091))
    told = json.loads(typed(copy, home, "discover", "-o", "json"))
    assert [found["backend"] for found in told["services"]] == []


@pytest.mark.parametrize("name", ["test_every_backend_is_proven_by_a_server", "test_every_backend_has_cases"])
def test_the_tests_that_the_page_names_are_there(name: str) -> None:
    assert f"`{name}`" in PAGE
    assert any(f"def {name}(" in file.read_text() for file in (ROOT / "tests/unit").glob("test_*.py"))
