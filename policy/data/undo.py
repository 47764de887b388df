"""Changes that can be taken back: each notes what it displaced."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from policy.rego.values import UNDEFINED


def write(at: dict[str, Any], step: str, value: Any) -> None:
    """Put a value under a name; UNDEFINED takes the name away."""
    if value is UNDEFINED:
        at.pop(step, None)
    else:
        at[step] = value


class Undo:
    """Changes dicts, lists and attributes, and takes all of it back on demand."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], Any]] = []

    def write(self, at: dict[str, Any], step: str, value: Any) -> None:
        """Put a value under a name; UNDEFINED takes the name away."""
        self._steps.append(partial(write, at, step, at.get(step, UNDEFINED)))
        write(at, step, value)

    def insert(self, at: list[Any], index: int, value: Any) -> None:
        """Put an element before the one at `index`."""
        self._steps.append(partial(at.pop, index))
        at.insert(index, value)

    def replace(self, at: Any, step: Any, value: Any) -> None:
        """Put a value in the place of another, in a dict or list."""
        self._steps.append(partial(at.__setitem__, step, at[step]))
        at[step] = value

    def pop(self, at: list[Any], index: int) -> None:
        """Take an element away."""
        self._steps.append(partial(at.insert, index, at[index]))
        del at[index]

    def assign(self, owner: Any, **attributes: Any) -> None:
        """Set attributes."""
        for name, value in attributes.items():
            self._steps.append(partial(setattr, owner, name, getattr(owner, name)))
            setattr(owner, name, value)

    def roll_back(self) -> None:
        """Take everything back, the last change first."""
        while self._steps:
            self._steps.pop()()

    def forget(self) -> None:
        """What was done stays."""
        self._steps.clear()
