"""A text column: each distinct text once, and for every row which of them it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import count

import numpy as np
from numpy.typing import NDArray

from telemetry.texts import Texts


class Words:
    """A text column, dictionary encoded: `values[codes[i]]` is row i's text."""

    __slots__ = ("codes", "values")

    def __init__(self, codes: NDArray[np.int32], values: Sequence[str]) -> None:
        self.codes = codes
        self.values = values if isinstance(values, Texts) else Texts.of(values)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Words:
        """Encode texts, one a row; equal texts share a code, in order of first appearance."""
        table: defaultdict[str, int] = defaultdict(count().__next__)  # all in C: a third of the time of a Python loop
        return cls(np.fromiter(map(table.__getitem__, texts), np.int32), tuple(table))

    @classmethod
    def same(cls, text: str, rows: int) -> Words:
        """One text in so many rows."""
        return cls(np.zeros(rows, np.int32), _alone(text))

    def text(self, row: int) -> str:
        """Row's text."""
        return self.values[int(self.codes[row])]

    def lengths(self) -> NDArray[np.int64]:
        """[rows] bytes of each row's text; 0 where it is empty."""
        return self.values.lengths[self.codes]

    def __iter__(self) -> Iterator[str]:
        table = self.values if len(self.values) > len(self.codes) else list(self.values)
        return map(table.__getitem__, self.codes.tolist())


@lru_cache(256)
def _alone(text: str) -> Texts:
    return Texts.of((text,))
