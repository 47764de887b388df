"""Numbers in order, in chunks: to add, remove or find one costs much the same among thousands and among millions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

_FULL = 2048  # numbers; a chunk that has more is cut in two


class Ordered:
    """A set of numbers, to be looked at by ranges."""

    def __init__(self) -> None:
        self._chunks: list[list[int]] = []
        self._lowest: list[int] = []  # of each chunk

    def add(self, number: int) -> None:
        """Put in a number that is not there."""
        if not self._chunks:
            self._chunks, self._lowest = [[number]], [number]
            return
        place = self._chunk(number)
        chunk = self._chunks[place]
        insort(chunk, number)
        self._lowest[place] = chunk[0]
        if len(chunk) > _FULL:
            half = len(chunk) // 2
            self._chunks[place : place + 1] = [chunk[:half], chunk[half:]]
            self._lowest[place : place + 1] = [chunk[0], chunk[half]]

    def remove(self, number: int) -> None:
        """Take out a number that is there."""
        place = self._chunk(number)
        chunk = self._chunks[place]
        del chunk[bisect_left(chunk, number)]
        if chunk:
            self._lowest[place] = chunk[0]
        else:
            del self._chunks[place], self._lowest[place]

    def within(self, first: int, last: int) -> Iterator[int]:
        """Those between two numbers, both included, in order."""
        for place in range(self._chunk(first), len(self._chunks)):
            if self._lowest[place] > last:
                return
            chunk = self._chunks[place]
            yield from chunk[bisect_left(chunk, first) : bisect_right(chunk, last)]

    def count(self, first: int, last: int) -> int:
        """How many lie between two numbers, both included."""
        low, high = self._chunk(first), self._chunk(last)
        if not self._chunks or low == high:
            return self._inside(low, first, last)
        between = sum(map(len, self._chunks[low + 1 : high]))
        return self._inside(low, first, last) + between + self._inside(high, first, last)

    def _inside(self, place: int, first: int, last: int) -> int:
        if place >= len(self._chunks):
            return 0
        chunk = self._chunks[place]
        return bisect_right(chunk, last) - bisect_left(chunk, first)

    def _chunk(self, number: int) -> int:
        """Where a number is, or would be."""
        return max(0, bisect_right(self._lowest, number) - 1)
