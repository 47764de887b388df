"""What reads telemetry in C, by itself: no byte is touched that was not given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from telemetry.native import code_texts, eve_cells, hash_texts
from tests.programs import MEMORY, Programs

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "telemetry" / "native"
SECRETS = (1, 3, 5, 7)


@pytest.mark.parametrize(("program", "sources"), [("eve_any", ("eve", "json")), ("texts_any", ("texts",))])
def test_it_touches_nothing_else(tmp_path: Path, program: str, sources: tuple[str, ...]) -> None:
    ours = [HERE / f"{program}.c", *(SOURCES / f"{name}.c" for name in sources)]
    Programs(tmp_path, SOURCES).run(ours, MEMORY, tmp_path)


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1), (0, 4), (3, 1), (2**62, 2**62), (2**63 - 1, 1)])
def test_texts_beyond_the_letters_are_refused(start: int, length: int) -> None:
    for call in (hash_texts, code_texts):
        with pytest.raises(ValueError, match="beyond the letters"):
            call(np.zeros(3, np.uint8), np.array([start]), np.array([length]), SECRETS)


def test_numbers_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="64-bit"):
        hash_texts(np.zeros(3, np.uint8), np.zeros(1, np.int32), np.zeros(1, np.int32), SECRETS)


def test_a_block_that_does_not_end_with_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="end"):
        eve_cells(b"{}")
