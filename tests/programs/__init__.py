"""Programs in C that try what we write in C, compiled with it and a sanitizer: each ends well, or tells what does not
hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

Sanitizer = Literal["address,undefined", "thread"]
MEMORY: Sanitizer = "address,undefined"
THREADS: Sanitizer = "thread"

_COMPILER = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
_FLAGS = ("-std=c11", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror", "-Wno-sign-compare")
_ENVIRONMENT = os.environ | {"TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=1"}
_DEADLINE = 120  # seconds; a bound for a busy machine, not an expectation


class Programs:
    """Objects made so far in a folder, each once."""

    def __init__(self, folder: Path, *includes: Path) -> None:
        self._folder = folder
        self._includes = [word for include in (Path(__file__).parent, *includes) for word in ("-I", str(include))]
        self._known: dict[tuple[Path, Sanitizer], Path] = {}

    def run(self, sources: Sequence[Path], sanitizer: Sanitizer, folder: Path, *arguments: str) -> None:
        """Compile, link and run a program in a folder, with a seed as its first argument. Skips where it can't."""
        program = folder / sources[0].stem
        _compile(sanitizer, *(str(self._object(source, sanitizer)) for source in sources), "-o", str(program))
        command = [str(program), os.environ.get("PORTCULLIS_SEED", "1"), *arguments]
        done = subprocess.run(
            command, cwd=folder, env=_ENVIRONMENT, timeout=_DEADLINE, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def _object(self, source: Path, sanitizer: Sanitizer) -> Path:
        made = self._folder / f"{source.parent.name}-{source.stem}-{sanitizer}.o"
        if (source, sanitizer) not in self._known:
            _compile(sanitizer, *self._includes, "-c", str(source), "-o", str(made))
            self._known[source, sanitizer] = made
        return made


def _compile(sanitizer: Sanitizer, *rest: str) -> None:
    if _COMPILER is None:
        pytest.skip("there is no C compiler")
    command = [_COMPILER, *_FLAGS, f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find -l" in done.stderr or "libclang_rt" in done.stderr or "unsupported option" in done.stderr:
        pytest.skip(f"the C compiler has no -fsanitize={sanitizer}")
    assert done.returncode == 0, done.stderr
