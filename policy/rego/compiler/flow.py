"""Python's way out of a block, and out of blocks around it, which Python has no word for: flags carry it outwards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field


class Lines:
    """Lines of Python as they are written."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self._depth = 0

    def add(self, *lines: str) -> None:
        """Write lines at the present depth."""
        self.text += ["    " * self._depth + line for line in lines]

    def insert(self, at: int, line: str) -> None:
        """Write a line before one that is written, at the present depth."""
        self.text.insert(at, "    " * self._depth + line)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Indent; an empty suite passes."""
        self._depth += 1
        before = len(self.text)
        yield
        if len(self.text) == before:
            self.add("pass")
        self._depth -= 1


DEEPEST = 18  # loops in one another; Python takes 20 in one function
NONLOCAL = "nonlocal ..."  # stands for the names of the function around


_NAMES = re.compile(r"\b(?:v|done|left|saved)\d+\b")


@dataclass(slots=True)
class _Loop:
    word: str  # what leaves this block from right inside it
    part: bool  # whether it is in a function of its own
    crossing: dict[str, tuple[_Loop, str]] = field(default_factory=dict)  # flags that go on outwards, where, and how


class Flow:
    """The open blocks of a function, each a Python loop."""

    def __init__(self, lines: Lines):
        self._lines = lines
        self._open: list[_Loop] = []
        self._flags = 0

    def flag(self, name: str) -> str:
        """A fresh name."""
        self._flags += 1
        return f"{name}{self._flags}"

    @contextmanager
    def loop(self, head: str, word: str) -> Iterator[None]:
        """A block as a Python loop: `while True:` that is left by `break`, or a `for` that goes on by `continue`. Where
        it would be too deep for Python, it is a function of its own, a part.
        """
        start = len(self._lines.text)
        inner = _Loop(word, self._depth() == DEEPEST)
        with self._part() if inner.part else nullcontext():
            self._lines.add(head)
            self._open.append(inner)
            with self._lines.deeper():
                yield
            self._open.pop()
        self._crossed(inner, start)

    def _depth(self) -> int:
        """Loops that are open in this function or part."""
        return next((n for n, one in enumerate(reversed(self._open), 1) if one.part), len(self._open))

    @contextmanager
    def _part(self) -> Iterator[None]:
        name = self.flag("part")
        self._lines.add(f"def {name}():")
        with self._lines.deeper():
            self._lines.add(NONLOCAL)
            yield
        self._lines.add(f"{name}()", "if returned:")
        with self._lines.deeper():
            self.end("answer")

    def end(self, value: str) -> None:
        """Return from the function, out of whatever part."""
        if any(one.part for one in self._open):
            self._lines.add(*([] if value == "answer" else [f"answer, returned = {value}, True"]), "return")
        else:
            self._lines.add(f"return {value}")

    def _crossed(self, inner: _Loop, start: int) -> None:
        for flag, (target, word) in inner.crossing.items():
            here = self._open[-1]
            self._lines.add(f"if {flag}:")
            with self._lines.deeper():
                self._lines.add(word if here is target else "break")
            if here is target:
                self._lines.insert(start, f"{flag} = False")
            else:
                here.crossing[flag] = target, word

    def leave(self, index: int) -> None:
        """Leave this block and `index` blocks around it."""
        if index == 0:
            self._lines.add(self._open[-1].word)
            return
        target = self._open[-1 - index]
        self._cross(target, target.word)

    def end_loops(self, count: int) -> None:
        """Leave so many of the `for` loops around."""
        target = self._open[-1 - self.inside(count)]
        if target is self._open[-1]:
            self._lines.add("break")
        else:
            self._cross(target, "break")

    def inside(self, loops: int) -> int:
        """How many blocks there are inside the outermost of so many `for` loops."""
        found = [n for n, one in enumerate(reversed(self._open)) if one.word == "continue"]
        return found[loops - 1]

    def _cross(self, target: _Loop, word: str) -> None:
        flag = self.flag("left")
        self._open[-1].crossing[flag] = target, word
        self._lines.add(f"{flag} = True", "break")


def shared(lines: list[str], params: Sequence[str]) -> tuple[list[str], str]:
    """The first lines of a function with parts, so that all names are its own, and the first line of each part."""
    names = sorted({name for line in lines for name in _NAMES.findall(line)} - {*params})
    first = [*(f"{name} = U" for name in names), "answer, returned = U, False"]
    return first, f"nonlocal {', '.join(dict.fromkeys((*names, *params, 'm', 'answer', 'returned')))}"
