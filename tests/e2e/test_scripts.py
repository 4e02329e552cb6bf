"""The README's first command, as a newcomer types it."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import yaml

from tests.realparts import ROOT, answers, until
from tests.service import command, free_address

PROMISED_SECONDS = 1.0


def test_once_prints_a_table_and_leaves_a_valid_file(tmp_path: Path) -> None:
    file = tmp_path / "custom_toolset.yaml"
    done = subprocess.run(
        [str(ROOT / "scripts/run"), "--once", "--toolset-file", str(file)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "NAMESPACE" in done.stdout
    assert "http://prometheus.shop.svc.cluster.local:9090" in done.stdout
    assert "unproven" in done.stdout
    assert "prometheus-node-exporter" in done.stdout.partition("Left out:")[2]
    assert str(file) in done.stdout
    assert command("validate", str(file)).returncode == 0


def test_an_edit_of_an_example_is_in_the_file_within_a_second(tmp_path: Path) -> None:
    examples = tmp_path / "cluster"
    shutil.copytree(ROOT / "examples/cluster", examples)
    file = tmp_path / "custom_toolset.yaml"
    http, metrics = free_address(), free_address()
    arguments = ["--from", str(examples), "--toolset-file", str(file), "--http", http, "--metrics", metrics]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([str(ROOT / "scripts/run"), *arguments], stdout=log, stderr=log)
    try:
        until(lambda: answers(f"http://{http}/ready"), "it runs", seconds=60)
        told = (tmp_path / "log").read_text()
        assert f"http://{http}" in told
        assert f"wrote {file}" in told
        assert "service shop/prometheus is prometheus at port 9090, unproven" in told

        service = yaml.safe_load((examples / "tracing.yaml").read_text())
        service["spec"]["ports"][0]["port"] = 26686
        (examples / "tracing.yaml").write_text(yaml.safe_dump(service))
        edited = time.monotonic()
        until(lambda: ":26686" in file.read_text(), "the file has the new port", seconds=10)
        # A generous multiple: how fast it is on a quiet machine is measured by scripts/bench, not here.
        assert time.monotonic() - edited < 5 * PROMISED_SECONDS
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
