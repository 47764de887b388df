"""Ends are the numbers of blocks in the order of their ends, so that what outlives a moment is summed fast."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import chain, repeat

_FULL = 1024  # numbers in a chunk, before it is cut in two


class Ends:
    """A sorted list of (end, number), in chunks whose sums are known; each pair is in it once."""

    def __init__(self) -> None:
        self._firsts: list[tuple[float, int]] = []  # of each chunk
        self._ends: list[array[float]] = []
        self._numbers: list[array[int]] = []
        self._sums: list[int] = []

    def add(self, end: float, number: int) -> None:
        """One more."""
        at = max(bisect_right(self._firsts, (end, number)) - 1, 0)
        if not self._firsts:
            self._insert(0, array("d"), array("Q"))
        ends, numbers = self._ends[at], self._numbers[at]
        place = self._place(at, end, number)
        ends.insert(place, end)
        numbers.insert(place, number)
        self._sums[at] += number
        if place == 0:
            self._firsts[at] = (end, number)
        if len(ends) > _FULL:
            self._cut(at)

    def remove(self, end: float, number: int) -> None:
        """One less; what is not there any more is forgotten already."""
        at = bisect_right(self._firsts, (end, number)) - 1
        if at < 0:
            return
        ends, numbers = self._ends[at], self._numbers[at]
        place = self._place(at, end, number)
        if place == len(ends) or (ends[place], numbers[place]) != (end, number):
            return
        del ends[place], numbers[place]
        self._sums[at] -= number
        if not ends:
            self._drop(at, at + 1)
        elif place == 0:
            self._firsts[at] = (ends[0], numbers[0])

    def after(self, time: float) -> tuple[int, int]:
        """How many end after a moment, and the sum of their numbers."""
        at = bisect_right(self._firsts, (time, 1 << 64)) - 1
        whole = slice(at + 1, None)
        count, total = sum(map(len, self._ends[whole])), sum(self._sums[whole])
        if at < 0:
            return count, total
        left = self._numbers[at][bisect_right(self._ends[at], time) :]
        return count + len(left), total + sum(left)

    def forget(self, time: float) -> None:
        """Drop chunks all of which ended by a moment."""
        gone = 0
        while gone < len(self._ends) and self._ends[gone][-1] <= time:
            gone += 1
        if gone:
            self._drop(0, gone)

    def _place(self, at: int, end: float, number: int) -> int:
        ends = self._ends[at]
        low = bisect_left(ends, end)
        return bisect_left(self._numbers[at], number, low, bisect_right(ends, end, low))

    def _cut(self, at: int) -> None:
        ends, numbers, half = self._ends[at], self._numbers[at], _FULL // 2
        if at == len(self._ends) - 1:
            half = _FULL  # most come in order: the chunk that they leave behind stays full
        self._insert(at + 1, ends[half:], numbers[half:])
        del ends[half:], numbers[half:]
        self._sums[at] -= self._sums[at + 1]

    def _insert(self, at: int, ends: array[float], numbers: array[int]) -> None:
        first = next(zip(chain(ends, repeat(0.0)), chain(numbers, repeat(0)), strict=False))
        self._firsts.insert(at, first)
        self._ends.insert(at, ends)
        self._numbers.insert(at, numbers)
        self._sums.insert(at, sum(numbers))

    def _drop(self, start: int, stop: int) -> None:
        for chunks in (self._firsts, self._ends, self._numbers, self._sums):
            del chunks[start:stop]
