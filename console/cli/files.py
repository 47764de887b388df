"""Files that commands read."""

from __future__ import annotations

import sys
from pathlib import Path


def text(file: Path) -> bytes:
    """A file's content, or that of stdin for `-`. Raises OSError."""
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
