"""Columns gathered from many records at once: each column of a group of records is one run in C, no Event between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from telemetry.event import COLUMNS, NUMBERS, EventBatch, Kind
from telemetry.malformed import MAX_TEXT, clip
from telemetry.sources.cells import Cells, Rows
from telemetry.sources.digits import digits
from telemetry.texts import Texts as Table
from telemetry.words import Words

Codes = NDArray[np.int32]
Texts: TypeAlias = "Iterable[str] | Made | Cells | Words"


class Made:
    """Texts made from others, once of equal ones: row i's is `texts[codes[i]]`."""

    def __init__(self, codes: NDArray[np.integer], texts: Sequence[str]) -> None:
        self._codes, self._texts = codes, texts

    @classmethod
    def of(cls, words: Words, text: Callable[[str], str]) -> Made:
        """Of one in each row."""
        return cls(words.codes, list(map(text, words.values)))

    @classmethod
    def of_two(cls, first: Words, second: Words, text: Callable[[str, str], str]) -> Made:
        """Of two in each row."""
        width = max(len(second.values), 1)
        pairs, codes = np.unique(first.codes * np.int64(width) + second.codes, return_inverse=True)
        return cls(codes, [text(first.values[pair // width], second.values[pair % width]) for pair in pairs.tolist()])

    def words(self) -> Words:
        """As a column."""
        table = Words.of(self._texts)
        return Words(table.codes[self._codes], table.values)


class Gathered:
    """Groups of records as columns; what a group does not tell is empty, or 0. Texts are cut to a cell's length."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._rows: list[Rows] = []  # of each group, the places of its records in the end
        self._texts: dict[str, _Column] = defaultdict(_Column)
        self._numbers: dict[str, list[tuple[int, Any]]] = defaultdict(list)

    def add(self, kind: Kind, rows: Rows, texts: Mapping[str, Texts | str], numbers: Mapping[str, Any]) -> None:
        """One group, whose records stand at `rows`: texts of each, or one for all, and numbers as arrays, or as cells
        that hold nothing but digits.
        """
        group = len(self._rows)
        self._rows.append(rows)
        self._numbers["kind"].append((group, np.uint8(kind)))
        for name, cells in texts.items():
            self._texts[name].add(group, Words.same(cells, len(rows)) if isinstance(cells, str) else cells)
        for name, column in numbers.items():
            self._numbers[name].append((group, column))

    def batch(self) -> EventBatch:
        """All records, in the order of their places; places that no group has are left out."""
        rows, size = self._dense(), sum(map(len, self._rows))
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            if name in NUMBERS:
                columns[name] = _filled(NUMBERS[name], self._numbers[name], rows, size)
            else:
                columns[name] = self._texts[name].words(rows, size) if name in self._texts else Words.same("", size)
        return EventBatch(**columns | {"source": Words.same(self._source, size)})

    def places(self) -> Rows:
        """Of all records, in order."""
        return np.sort(np.concatenate([np.empty(0, np.int64), *self._rows]))

    def _dense(self) -> list[Rows]:
        """Of each group, the places of its records where there are no others."""
        places = self.places()
        dense = np.zeros(int(places.max(initial=-1)) + 1, np.int64)
        dense[places] = np.arange(len(places))
        return [dense[some] for some in self._rows]


def coded(cells: Iterable[Any]) -> tuple[Codes, dict[Any, int]]:
    """Codes of the cells, and of each distinct one, in order of first appearance."""
    table: defaultdict[Any, int] = defaultdict(count().__next__)
    return np.fromiter(map(table.__getitem__, cells), np.int32), table


class _Column:
    """A text column of several groups; in the end they share a table."""

    def __init__(self) -> None:
        self._groups: list[tuple[int, Words]] = []
        self._cells: list[tuple[int, Cells]] = []  # all of one page: made a column together

    def add(self, group: int, texts: Texts) -> None:
        if isinstance(texts, Cells):
            self._cells.append((group, texts))
        elif isinstance(texts, Made):
            self._groups.append((group, texts.words()))
        else:
            self._groups.append((group, texts if isinstance(texts, Words) else Words.of(texts)))

    def words(self, rows: list[Rows], size: int) -> Words:
        parts = self._parts(rows, size)
        tables, start = [words.values for _, words in parts], 0
        if len(parts) == 1:
            table, places = tables[0], np.arange(len(tables[0]), dtype=np.int32)
        else:
            table, places = Table.join(tables)
        codes = np.full(size, places[:1], np.int32)
        for places_in, words in parts:
            codes[places_in] = places[words.codes + start]
            start += len(words.values)
        return _short(Words(codes, table))

    def _parts(self, rows: list[Rows], size: int) -> list[tuple[Rows, Words]]:
        """Words of some rows each; where not all rows are told, an empty text comes first."""
        told = sum(len(words.codes) for _, words in self._groups)
        parts = [(rows[group], words) for group, words in self._groups]
        if self._cells and not parts:  # rows that nobody tells are empty cells
            cells = Cells.empty(self._cells[0][1].page, size)
            for group, some in self._cells:
                cells.put(rows[group], some)
            return [(np.arange(size), cells.words())]
        if self._cells:
            places = np.concatenate([rows[group] for group, _ in self._cells])
            parts.append((places, Cells.join([cells for _, cells in self._cells]).words()))
            told += len(places)
        return parts if told == size and parts else [(np.empty(0, np.int64), Words.same("", 0)), *parts]


def _short(words: Words) -> Words:
    """With texts cut to a cell's length."""
    if int(words.values.lengths.max(initial=0)) <= MAX_TEXT:
        return words
    short = Words.of(map(clip, words.values))
    return Words(short.codes[words.codes], short.values)


def _filled(kind: Any, parts: Sequence[tuple[int, Any]], rows: list[Rows], size: int) -> NDArray[Any]:
    column: NDArray[Any] = np.zeros(size, kind)
    written = [(group, cells) for group, cells in parts if isinstance(cells, Cells)]
    if written:  # all read at once
        places = np.concatenate([rows[group] for group, _ in written])
        column[places] = digits(Cells.join([cells for _, cells in written]))[0]
    for group, cells in parts:
        if not isinstance(cells, Cells):
            column[rows[group]] = cells
    return column
