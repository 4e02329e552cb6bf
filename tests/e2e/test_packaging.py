"""What is installed is complete: the image has no checkout to fall back on."""

import os
import subprocess
import sys
from pathlib import Path

from tests.realparts import ROOT


def test_an_installed_package_works_without_its_checkout(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(ROOT)], check=True, timeout=120)
    program = (
        "import sys, toolset; assert toolset.__file__.startswith(sys.argv.pop(1)), toolset.__file__;"
        "from process.cli import main; main()"
    )
    arguments = [str(tmp_path / "site"), "discover", "--from", str(ROOT / "examples/cluster"), "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"prometheus/metrics"' in done.stdout
    page = ROOT / "sidecar/api/static"
    installed = tmp_path / "site/sidecar/api/static"
    assert {file.name for file in installed.iterdir()} == {file.name for file in page.iterdir()}
