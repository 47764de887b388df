"""How much one change may bring."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 64  # steps of the path and arrays and objects of the value, together
MAX_VALUES = 1_000_000  # in one change


class TooMuch(ValueError):
    """More values, or deeper, than one change may bring."""


def size(value: Any, depth: int) -> int:
    """How many values there are in a value at that depth, itself included. Raises TooMuch."""
    level, count = [value], 0
    for _ in range(depth, MAX_DEPTH + 1):
        count += len(level)
        if count > MAX_VALUES:
            raise TooMuch(f"one change has at most {MAX_VALUES} values")
        level = [inner for held in level for inner in _inner(held)]
        if not level:
            return count
    raise TooMuch(f"arrays and objects nest at most {MAX_DEPTH} deep")


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()
