"""Files that are whole or not there, whatever ends the process or the disk's room meanwhile."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Make a file, and have it on the disk. Raises OSError; what was written until then stays."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)


def put(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put a file in the place of another, atomically and durably. Raises OSError; either one stands then."""
    staged = path.with_name(f"{path.name}.next")
    try:
        write(staged, data, mode)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    move(staged, path)


def move(staged: Path, path: Path) -> None:
    """Give a file or folder its name, atomically and durably. Raises OSError."""
    os.replace(staged, path)  # noqa: PTH105 - a folder may replace an empty one
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
