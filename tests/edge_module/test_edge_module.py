"""The edge's module by itself, without Envoy: each program here is compiled with the module's sources and a sanitizer,
and ends well, or tells what does not hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "gateway" / "edge" / "module"
COMPILER = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
FLAGS = ("-std=c11", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror", "-Wno-sign-compare")
ENVIRONMENT = os.environ | {"TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=1"}
MEMORY, THREADS = "address,undefined", "thread"
GATE = ("gate", "cache", "frames", "limits", "log", "shared", "siphash")  # of the module's sources, what each needs
STUBS = ("stubs", "judges")  # and of ours
DEADLINE = 120  # seconds; a bound for a busy machine, not an expectation

Compiled = Callable[[Path, str], Path]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """One source's object under a sanitizer, made once."""
    folder = tmp_path_factory.mktemp("objects")
    known: dict[tuple[Path, str], Path] = {}

    def once(source: Path, sanitizer: str) -> Path:
        made = folder / f"{source.parent.name}-{source.stem}-{sanitizer}.o"
        if (source, sanitizer) not in known:
            _compile(sanitizer, "-I", str(SOURCES), "-I", str(HERE), "-c", str(source), "-o", str(made))
            known[source, sanitizer] = made
        return made

    return once


def _compile(sanitizer: str, *rest: str) -> None:
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    command = [COMPILER, *FLAGS, f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find -l" in done.stderr or "libclang_rt" in done.stderr or "unsupported option" in done.stderr:
        pytest.skip(f"the C compiler has no -fsanitize={sanitizer}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("program", "sources", "stubs", "sanitizer"),
    [
        ("frames", ("frames",), (), MEMORY),
        ("cache", ("cache", "frames", "shared", "siphash"), (), MEMORY),
        ("log", ("log",), (), MEMORY),
        ("limits", ("limits", "siphash"), (), MEMORY),
        ("limits", ("limits", "siphash"), (), THREADS),
        ("settings", ("filter", "request", "claims", *GATE), ("stubs", "never"), MEMORY),
        ("log_lost", GATE, STUBS, MEMORY),
        ("judges_apart", GATE, STUBS, MEMORY),
        ("gate", GATE, STUBS, MEMORY),
        ("gate", GATE, STUBS, THREADS),
    ],
)
def test_it_holds(
    compiled: Compiled, tmp_path: Path, program: str, sources: tuple[str, ...], stubs: tuple[str, ...], sanitizer: str
) -> None:
    objects = [compiled(HERE / f"{name}.c", sanitizer) for name in (program, *stubs)]
    objects += [compiled(SOURCES / f"{name}.c", sanitizer) for name in sources]
    _compile(sanitizer, *map(str, objects), "-o", str(tmp_path / program))
    command = [str(tmp_path / program), os.environ.get("PORTCULLIS_SEED", "1")]
    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, timeout=DEADLINE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
