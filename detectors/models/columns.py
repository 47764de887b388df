"""A table's columns as numbers: as they are and one-hot for trees, by rank among normal rows for distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Columns: TypeAlias = Mapping[str, NDArray[Any]]  # of one length; numbers, or texts where the array's kind is "U"
Matrix: TypeAlias = NDArray[np.float32]
_LARGEST = 1e30  # beyond it a number is cut to it: 32 bits hold no more
_SHARES = np.linspace(0.001, 0.999, 999)
_NORMAL = np.array([NormalDist().inv_cdf(share) for share in _SHARES.tolist()])


@dataclass(frozen=True, slots=True)
class Encoder:
    """What was learnt of the columns; does not change. A value that was never seen has no one-hot column."""

    numbers: tuple[str, ...]
    ranks: tuple[NDArray[np.float32], ...]  # of each number, normal rows' values, ascending
    texts: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]  # of each text, those that occur

    @classmethod
    def of(cls, columns: Columns, normal: NDArray[np.bool_]) -> Encoder:
        """Learn from a table whose `normal` rows are known; there must be one."""
        texts = tuple(name for name, column in columns.items() if column.dtype.kind == "U")
        numbers = tuple(name for name in columns if name not in texts)
        ranks = tuple(np.sort(_finite(columns[name][normal])) for name in numbers)
        return cls(numbers, ranks, texts, tuple(tuple(np.unique(columns[name]).tolist()) for name in texts))

    @property
    def column(self) -> tuple[int, ...]:
        """Of each feature of either matrix, the number of the column that it was made from."""
        hot = [place for place, known in enumerate(self.values, len(self.numbers)) for _ in known]
        return (*range(len(self.numbers)), *hot)

    def plain(self, columns: Columns) -> Matrix:
        """[rows, features] numbers as they are, texts one-hot; what is not finite is 0."""
        return np.concatenate([*(_finite(columns[name])[:, None] for name in self.numbers), self._hot(columns)], axis=1)

    def ranked(self, columns: Columns) -> Matrix:
        """[rows, features] each number by its rank among normal rows, as a normal deviate; texts one-hot."""
        parts = [
            _deviate(ranks, _finite(columns[name]))[:, None]
            for name, ranks in zip(self.numbers, self.ranks, strict=True)
        ]
        return np.concatenate([*parts, self._hot(columns)], axis=1)

    def _hot(self, columns: Columns) -> Matrix:
        rows = len(next(iter(columns.values())))
        parts = [
            (columns[name][:, None] == np.array(known)).astype(np.float32)
            for name, known in zip(self.texts, self.values, strict=True)
        ]
        return np.concatenate([np.empty((rows, 0), np.float32), *parts], axis=1)


def _finite(column: NDArray[Any]) -> NDArray[np.float32]:
    known = np.where(np.isfinite(column), column, 0)
    return np.clip(known, -_LARGEST, _LARGEST).astype(np.float32)


def _deviate(ranks: NDArray[np.float32], column: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values that occur often have the middle of their ranks."""
    below, above = np.searchsorted(ranks, column, "left"), np.searchsorted(ranks, column, "right")
    deviate: NDArray[np.float32] = np.interp((below + above) / (2 * len(ranks)), _SHARES, _NORMAL).astype(np.float32)
    return deviate
