"""An evaluation's memory, the list that generated functions know as `m`.

A list, since a slot of a list is the fastest thing that Python can look up; its first places are named here.
"""

from __future__ import annotations

from typing import Any, Final

NOW: Final = 0  # nanoseconds since 1970
TRACE: Final = 1  # what was read so far: numbers, paths, and traces of cached rules
SCRATCH: Final = 2  # what impure builtins keep, a dict, or None
STEPS: Final = 3  # elements that may be visited until the limits are looked at again
BUDGET: Final = 4  # the limits, see policy/rego/limits.py
CACHE: Final = 5  # values of rules that read data alone, or None where they do not count
FIRST_SLOT: Final = 6  # hoisted paths, then rules

Memory = list[Any]


class Waiting:
    """Type of the one mark for "not evaluated yet"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "waiting"


WAITING: Final = Waiting()
