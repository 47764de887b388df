"""A folder whose disk forgets, when the power is cut, whatever was not synced: for children that write into it.

A child started with `environment` runs with power.c preloaded. After it was killed, `cut` puts into another folder what
a power loss would have left: of each file that a synced folder names, the content as it was last synced. The name of a
file is as durable as its folder's last sync, as POSIX has it; most file systems are kinder.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("power.c")
_PAGE = 4096  # bytes that a disk writes or does not


class Power:
    """One folder, flat. `scratch` is for the rig's own files."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder = folder
        self._library = scratch / "power.so"
        self._shadow = scratch / "shadow"
        folder.mkdir(parents=True, exist_ok=True)
        self._shadow.mkdir(parents=True)
        (self._shadow / "names").touch()
        _compile(self._library)

    def environment(self, ignoring: Sequence[str] = ()) -> dict[str, str]:
        """For a child; its syncs of files with the names in `ignoring` have no effect."""
        power = {
            "LD_PRELOAD": str(self._library),
            "POWER_ROOT": str(self.folder.resolve()),
            "POWER_SHADOW": str(self._shadow),
            "POWER_IGNORE": ",".join(ignoring),
        }
        return dict(os.environ) | power

    def begin_anew(self) -> None:
        """Take all that is in the folder now for synced."""
        shutil.rmtree(self._shadow)
        self._shadow.mkdir()
        keys = {_identity(path): path for path in self.folder.iterdir()}
        for key, path in keys.items():
            shutil.copyfile(path, self._shadow / key)
        (self._shadow / "names").write_text("".join(f"{key} {path.name}\n" for key, path in keys.items()))

    def cut(self, into: Path, torn: random.Random | None = None) -> Path:
        """What is left of the folder. With `torn`, pages that were written and not synced are there or not, by chance:
        disks write in what order they like. Returns `into`, made for it.
        """
        into.mkdir()
        for line in (self._shadow / "names").read_text().splitlines():
            key, _, name = line.partition(" ")
            synced, written = self._shadow / key, self.folder / name
            content = synced.read_bytes() if synced.exists() else b""
            if torn and written.exists() and _identity(written) == key:
                content = _torn(content, written.read_bytes(), torn)
            (into / name).write_bytes(content)
            (into / name).chmod(0o600)
        return into


def _compile(library: Path) -> None:
    """With the machine's compiler, or the one that comes as a package."""
    compiler = [shutil.which("cc")] if shutil.which("cc") else [sys.executable, "-m", "ziglang", "cc"]
    command = [*compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-pthread", "-o", library, _SOURCE]
    built = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if built.returncode:
        if "No module named" in built.stderr:
            pytest.skip("needs a C compiler")
        raise RuntimeError(built.stderr)


def _identity(path: Path) -> str:
    """As power.c has it."""
    told = subprocess.run(["stat", "-c", "%i %W %w", path], capture_output=True, text=True, check=True).stdout.split()
    fraction = told[3].partition(".")[2] if len(told) > 3 else ""
    return f"{told[0]}-{int(told[1])}{fraction:0<9}" if fraction else f"{told[0]}-0"


def _torn(synced: bytes, written: bytes, chance: random.Random) -> bytes:
    size = max(len(synced), len(written)) if chance.random() < 0.5 else len(synced)
    pages = range(0, size, _PAGE)
    chosen = (written if chance.random() < 0.5 else synced for _ in pages)
    content = b"".join(part[at : at + _PAGE].ljust(_PAGE, b"\0") for at, part in zip(pages, chosen, strict=True))
    return content[:size]
