"""The edge's module by itself, without Envoy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import MEMORY, THREADS, Programs, Sanitizer

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "gateway" / "edge" / "module"
GATE = ("gate", "cache", "frames", "limits", "log", "shared", "siphash")  # of the module's sources, what each needs
STUBS = ("stubs", "judges")  # and of ours


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("objects"), SOURCES, HERE)


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
    programs: Programs,
    tmp_path: Path,
    program: str,
    sources: tuple[str, ...],
    stubs: tuple[str, ...],
    sanitizer: Sanitizer,
) -> None:
    ours = [HERE / f"{name}.c" for name in (program, *stubs)]
    programs.run([*ours, *(SOURCES / f"{name}.c" for name in sources)], sanitizer, tmp_path)
