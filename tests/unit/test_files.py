"""The file that HolmesGPT reads: whole or not at all, readable by all, left alone while nothing changes."""

import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.files import PublishError, remove_leftovers, write_file

OLD, NEW = "old: 1\n", "new: 2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "custom_toolset.yaml"


def alone(file: Path) -> bool:
    """Whether nothing but the file is in its directory."""
    return [item.name for item in file.parent.iterdir()] == [file.name]


def test_a_file_that_is_not_there_is_made_with_its_directories(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "custom_toolset.yaml"
    assert write_file(file, NEW)
    assert file.read_text() == NEW
    assert alone(file)


def test_the_text_is_written_as_utf_8(file: Path) -> None:
    write_file(file, "größe: ≥\n")
    assert file.read_bytes() == "größe: ≥\n".encode()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177])
def test_everybody_may_read_the_file_whatever_the_umask(file: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_file(file, NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_the_file_may_be_read_before_it_has_its_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    replace = Path.replace

    def look_first(temporary: Path, target: Path) -> Path:
        modes.append(stat.S_IMODE(temporary.stat().st_mode))
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", look_first)
    write_file(file, NEW)
    assert modes == [0o644]


def test_what_has_not_changed_is_not_touched(file: Path) -> None:
    write_file(file, NEW)
    os.utime(file, ns=(1, 1))
    before = file.stat()
    assert not write_file(file, NEW)
    after = file.stat()
    assert (after.st_mtime_ns, after.st_ino, after.st_ctime_ns) == (1, before.st_ino, before.st_ctime_ns)
    assert alone(file)


def test_what_has_changed_is_replaced_and_who_has_it_open_keeps_the_old(file: Path) -> None:
    write_file(file, OLD)
    with file.open() as reader:
        assert write_file(file, NEW)
        assert reader.read() == OLD
    assert file.read_text() == NEW
    assert alone(file)


def test_no_reader_ever_sees_half_a_file(file: Path) -> None:
    texts = {letter * 200_000 for letter in "ab"}
    write_file(file, min(texts))
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(file.read_text())

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(100):
        write_file(file, sorted(texts)[turn % 2])
    done.set()
    for reader in readers:
        reader.join()
    assert seen <= texts
    assert seen


def test_the_content_is_on_disk_before_the_file_has_its_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def told_fsync(handle: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "content")
        fsync(handle)

    def told_replace(temporary: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(temporary, target)

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(Path, "replace", told_replace)
    write_file(file, NEW)
    assert steps == ["content", "rename", "directory"]


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("module", "step", "error"),
    [
        (tempfile, "mkstemp", OSError(30, "Read-only file system")),
        (tempfile, "mkstemp", PermissionError(13, "Permission denied")),
        (os, "fchmod", PermissionError(1, "Operation not permitted")),
        (os, "fsync", OSError(28, "No space left on device")),
        (Path, "replace", PermissionError(13, "Permission denied")),
    ],
)
def test_whatever_step_fails_the_old_file_stays_and_a_sentence_says_why(
    file: Path, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, error: OSError
) -> None:
    write_file(file, OLD)
    monkeypatch.setattr(module, step, raising(error))
    with pytest.raises(PublishError) as failure:
        write_file(file, NEW)
    assert str(failure.value) == (
        f"{file}: cannot be written: {error.strerror}; the file that was there stays. "
        "Mount a writable volume there, or name another place by --toolset-file"
    )
    assert file.read_text() == OLD
    assert alone(file)


def test_an_interruption_leaves_the_old_file_and_nothing_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(file, OLD)
    monkeypatch.setattr(os, "fsync", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_file(file, NEW)
    assert file.read_text() == OLD
    assert alone(file)


def test_a_place_below_a_file_gives_the_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(OLD)
    with pytest.raises(PublishError, match="cannot be written: Not a directory"):
        write_file(tmp_path / "file" / "custom_toolset.yaml", NEW)
    assert (tmp_path / "file").read_text() == OLD


def test_a_directory_in_the_files_place_gives_the_sentence(file: Path) -> None:
    file.mkdir()
    with pytest.raises(PublishError, match="cannot be written: Is a directory"):
        write_file(file, NEW)


def test_a_file_system_that_cannot_sync_directories_loses_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def only_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    assert write_file(file, NEW)
    assert file.read_text() == NEW


def test_temporary_files_of_a_killed_process_are_removed_and_no_other(file: Path) -> None:
    write_file(file, OLD)
    others = [".other.yaml.x.tmp", "custom_toolset.yaml.tmp", "mine.yaml"]
    for name in [".custom_toolset.yaml.abc.tmp", ".custom_toolset.yaml.def.tmp", *others]:
        (file.parent / name).write_text("x")
    remove_leftovers(file)
    assert sorted(item.name for item in file.parent.iterdir()) == sorted([file.name, *others])


def test_removing_leftovers_where_nothing_is_harms_nobody(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "nowhere" / "custom_toolset.yaml")
    assert list(tmp_path.iterdir()) == []
