"""The key under which this place hashes texts: drawn once, kept with what was learnt under it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

_BYTES = 8


def kept_key(folder: Path) -> int:
    """The key in a folder, made at the first start, readable by its owner alone. Raises OSError, ValueError."""
    path = folder / "hash.key"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
    key = path.read_bytes()
    if len(key) != _BYTES:
        raise ValueError(f"{path}: {len(key)} bytes, a key has {_BYTES}; remove it to begin anew")
    return int.from_bytes(key, "little")
