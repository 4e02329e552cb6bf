"""SIGKILL in the middle of a write: the file is the old one or the new one, and nothing is left over."""

import json
import os
import random
import time
from pathlib import Path

from tests.home import service
from tests.realparts import until
from tests.service import Start, command

ROUNDS = 30
FEW, MANY = 1, 300
"""Services in the manifests, by turns: each start has something else to write."""


def test_killed_while_it_writes_it_leaves_a_whole_file_and_the_next_start_tidies_up(
    tmp_path: Path, start: Start
) -> None:
    """It is killed when its temporary file is seen, or a little later: before, in and after the rename."""
    whole = {count: document(tmp_path, count) for count in (FEW, MANY)}
    cluster, out = tmp_path / "cluster", tmp_path / "out"
    cluster.mkdir()
    out.mkdir()
    file = out / "custom_toolset.yaml"
    halfway = 0
    for _ in range(ROUNDS):
        before = content(file)
        write_manifests(cluster, FEW if before == whole[MANY] else MANY)
        known = leftovers(out)
        running = start("--from", str(cluster))
        until(
            lambda seen=before, old=known: leftovers(out) - old or content(file) != seen, "it writes", pause=0
        )
        killed_at = time.monotonic() + random.choice([0, 0, random.uniform(0, 0.005)])
        while time.monotonic() < killed_at:
            assert content(file) in {before, *whole.values()}, "a reader sees no half of it either"
        running.kill()
        halfway += bool(leftovers(out) - known)
        assert content(file) in {before, *whole.values()}
    assert halfway, "it was never killed between temporary file and rename: this showed nothing"

    write_manifests(cluster, MANY)
    start("--from", str(cluster))
    until(lambda: content(file) == whole[MANY], "it goes on as if nothing had been")
    until(lambda: not leftovers(out), "nothing is left over")


def content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def leftovers(directory: Path) -> set[str]:
    return {name for name in os.listdir(directory) if name.endswith(".tmp")}  # noqa: PTH208 - the quickest look


def write_manifests(directory: Path, count: int) -> None:
    objects = [service(f"team-{n}", "prometheus", "10.0.0.1") for n in range(count)]
    (directory / "services.yaml").write_text("---\n".join(json.dumps(obj) + "\n" for obj in objects))


def document(tmp_path: Path, count: int) -> bytes:
    """The whole file, as it is written when nobody interferes."""
    directory, file = tmp_path / f"of-{count}", tmp_path / f"of-{count}.yaml"
    directory.mkdir(exist_ok=True)
    write_manifests(directory, count)
    done = command("run", "--once", "--from", str(directory), "--toolset-file", str(file))
    assert done.returncode == 0, done.stderr
    return file.read_bytes()
