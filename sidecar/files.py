"""Writes files as a reader needs them: only when their content changes, and never half."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

FILE_MODE = 0o644
"""HolmesGPT reads the file under another UID, and no fsGroup can be counted on."""


class PublishError(Exception):
    """Something was not written; the message says what, why and the cure. What was there stays."""


def write_file(path: Path, text: str) -> bool:
    """Replaces the file in one step, durably; returns whether there was anything to change.

    Raises:
        PublishError: it could not be written; the file that was there is untouched.
    """
    data = text.encode()
    try:
        if holds(path, data):
            if stat.S_IMODE(path.stat().st_mode) != FILE_MODE:
                path.chmod(FILE_MODE)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same directory, since only within one file system is a rename a single step.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), FILE_MODE)
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise PublishError(
            f"{path}: cannot be written: {error.strerror or error}; the file that was there stays. "
            "Mount a writable volume there, or name another place by --toolset-file"
        ) from error
    return True


def remove_leftovers(path: Path) -> None:
    """Deletes temporary files that a killed process left beside ``path``."""
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):
            leftover.unlink()


def holds(path: Path, data: bytes) -> bool:
    """Whether the file is there, with exactly this content."""
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    """Makes the rename itself durable. Some file systems refuse, and lose nothing by it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
