"""Columns gathered from many records at once: each column of a group of records is one run in C, no Event between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import count, repeat
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from telemetry.event import COLUMNS, NUMBERS, EventBatch, Kind
from telemetry.malformed import MAX_TEXT, clip
from telemetry.words import Words

Codes = NDArray[np.int32]
Rows = NDArray[np.int64]
Texts: TypeAlias = "Iterable[str] | Made"


class Made:
    """Texts made from cells, once of equal ones."""

    def __init__(self, cells: Iterable[Any], text: Callable[[Any], str]) -> None:
        self.codes, table = coded(cells)
        self.texts = list(map(text, table))


class Gathered:
    """Groups of records as columns; what a group does not tell is empty, or 0. Texts are cut to a cell's length."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._rows: list[Rows] = []  # of each group, the places of its records in the end
        self._texts: dict[str, _Column] = defaultdict(_Column)
        self._numbers: dict[str, list[tuple[int, Any]]] = defaultdict(list)

    def add(self, kind: Kind, rows: Rows, texts: Mapping[str, Texts | str], numbers: Mapping[str, Any]) -> None:
        """One group, whose records stand at `rows`: texts of each, or one for all, and numbers as arrays."""
        group = len(self._rows)
        self._rows.append(rows)
        self._numbers["kind"].append((group, np.uint8(kind)))
        for name, cells in texts.items():
            self._texts[name].add(group, repeat(cells, len(rows)) if isinstance(cells, str) else cells)
        for name, column in numbers.items():
            self._numbers[name].append((group, column))

    def batch(self) -> EventBatch:
        """All records, in the order of their places; places that no group has are left out."""
        rows, size = self._dense()
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            if name in NUMBERS:
                columns[name] = _filled(NUMBERS[name], self._numbers[name], rows, size)
            else:
                columns[name] = self._texts[name].words(rows, size) if name in self._texts else Words.same("", size)
        return EventBatch(**columns | {"source": Words.same(self._source, size)})

    def _dense(self) -> tuple[list[Rows], int]:
        if len(self._rows) == 1:
            return [np.arange(len(self._rows[0]))], len(self._rows[0])
        places = np.concatenate([np.empty(0, np.int64), *self._rows])
        taken = np.zeros(int(places.max(initial=-1)) + 1, np.bool_)
        taken[places] = True
        dense = np.cumsum(taken) - 1
        return [dense[some] for some in self._rows], len(places)


def coded(cells: Iterable[Any]) -> tuple[Codes, dict[Any, int]]:
    """Codes of the cells, and of each distinct one, in order of first appearance."""
    table: defaultdict[Any, int] = defaultdict(count().__next__)
    return np.fromiter(map(table.__getitem__, cells), np.int32), table


class _Column:
    """A text column of several groups; they share a table."""

    def __init__(self) -> None:
        self._table: defaultdict[str, int] = defaultdict(count().__next__)
        self._groups: list[tuple[int, Codes]] = []

    def add(self, group: int, cells: Texts) -> None:
        texts = cells.texts if isinstance(cells, Made) else cells
        codes = np.fromiter(map(self._table.__getitem__, texts), np.int32)
        self._groups.append((group, codes[cells.codes] if isinstance(cells, Made) else codes))

    def words(self, rows: list[Rows], size: int) -> Words:
        told = sum(len(codes) for _, codes in self._groups)
        codes = np.full(size, self._table[""] if told < size else 0, np.int32)
        for group, some in self._groups:
            codes[rows[group]] = some
        if max(map(len, self._table), default=0) <= MAX_TEXT:
            return Words(codes, tuple(self._table))
        short = Words.of(map(clip, self._table))
        return Words(short.codes[codes], short.values)


def _filled(kind: Any, parts: Iterable[tuple[int, Any]], rows: list[Rows], size: int) -> NDArray[Any]:
    column: NDArray[Any] = np.zeros(size, kind)
    for group, cells in parts:
        column[rows[group]] = cells
    return column
