"""The image's build stage as the Dockerfile says it, done below a directory instead of in a container."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.realparts import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
BUILD = DOCKERFILE.partition(" AS build\n")[2].partition("\nFROM ")[0]
MEGABYTES = 150
"""The image may have over its base."""


def below(root: Path, text: str) -> str:
    """A command with the stage's directories below ``root``, and with this Python."""
    text = re.sub(r"(?<![\w.])/(app|build|src)\b", rf"{root}/\1", text)
    return text.replace("python3 -m", f"{shlex.quote(sys.executable)} -m")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stage's `/app` is."""
    root = tmp_path_factory.mktemp("image")
    source = root / "src"
    source.mkdir()
    sent = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    for step in re.sub(r"\\\n", " ", BUILD).splitlines():
        word, _, rest = step.partition(" ")
        if word == "COPY":
            *paths, to = rest.split()
            for path in paths:
                assert path.split("/")[0] in sent, f".dockerignore keeps {path} from the build"
                target = source / to / Path(path).name if to.endswith("/") else source / to
                target.parent.mkdir(parents=True, exist_ok=True)
                if (ROOT / path).is_dir():
                    shutil.copytree(ROOT / path, target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / path, target)
        elif word == "RUN":
            done = subprocess.run(
                ["/bin/sh", "-ec", below(root, rest)], cwd=source, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
    return root / "app"


def command(image: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The image's command, which finds nothing but the image's own packages."""
    return subprocess.run(
        [sys.executable, "-S", str(image / "bin/dynamic-toolset"), *arguments],
        env={"PATH": os.defpath, "PYTHONPATH": str(image)},
        cwd=image.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["run", "webhook", "discover", "explain", "validate"])
def test_each_command_is_in_it(image: Path, name: str) -> None:
    done = command(image, name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: dynamic-toolset {name}" in done.stdout


def test_it_does_its_work(image: Path) -> None:
    done = command(image, "discover", "--from", str(ROOT / "examples/cluster"))
    assert done.returncode == 0, done.stderr
    assert "prometheus/metrics" in done.stdout


def test_it_holds_nothing_to_build_or_to_test_with(image: Path) -> None:
    there = {path.name for path in image.iterdir()}
    assert there.isdisjoint({"pip", "setuptools", "pytest", "mypy", "hypothesis"})
    assert [path.name for path in (image / "bin").iterdir()] == ["dynamic-toolset"]


def test_it_is_small(image: Path) -> None:
    size = sum(path.stat().st_size for path in image.rglob("*") if path.is_file())
    assert size < MEGABYTES * 2**20, f"{size / 2**20:.0f} MB"
