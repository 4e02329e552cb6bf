"""What the command makes of its options."""

import subprocess

import pytest

from tests.realparts import ROOT
from tests.service import COMMAND


def discover(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [COMMAND, "discover", "--from", str(ROOT / "examples/cluster"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("new", "'new': expected MAJOR.MINOR, such as 0.31"),
        ("1", "expected MAJOR.MINOR"),
        ("0.29.1", "'0.29.1': what HolmesGPT before 0.30 takes is unknown"),
    ],
)
def test_a_version_of_holmesgpt_that_is_none_or_too_old(version: str, sentence: str) -> None:
    done = discover("--holmesgpt-version", version)
    assert done.returncode == 2
    assert sentence in done.stderr


@pytest.mark.parametrize(("version", "instances"), [("0.31.1", False), ("v0.32.0", True)])
def test_an_old_holmesgpt_is_written_for(version: str, instances: bool) -> None:
    done = discover("--holmesgpt-version", version, "--output", "holmes")
    assert done.returncode == 0, done.stderr
    assert ("instances:" in done.stdout) == instances
