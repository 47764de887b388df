"""How much one change may bring."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 64  # steps of the path and arrays and objects of the value, together
MAX_VALUES = 1_000_000  # in one change


class TooMuch(ValueError):
    """More values, or deeper, than one change may bring."""


def size(value: Any, depth: int = 0, limit: int = MAX_VALUES) -> int:
    """How many values there are in a value at that depth, itself included. Raises TooMuch."""
    level, count = [value], 1
    for _ in range(depth, MAX_DEPTH + 1):
        held = [one for one in level if isinstance(one, (dict, list, tuple))]
        if not held:
            return count
        count += sum(map(len, held))
        if count > limit:
            raise TooMuch(f"more than {limit} values")
        level = [inner for one in held for inner in (one.values() if isinstance(one, dict) else one)]
    raise TooMuch(f"arrays and objects nest at most {MAX_DEPTH} deep")
