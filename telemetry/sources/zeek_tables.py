"""Records of one Zeek log by field, whichever way they were written: a column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from telemetry.malformed import Count, Port
from telemetry.sources.cells import Cells, Page
from telemetry.sources.columns import Made
from telemetry.sources.digits import decimals, integers
from telemetry.sources.zeek_header import Header
from telemetry.sources.zeek_record import Record, moment, unescape

PORTS: Final = ("p", "id.resp_p", "id_resp_p")
DECIMALS: Final = ("duration", "rtt", "lease_time")
NUMBERS: Final[Mapping[str, Any]] = {  # fields of Record that are numbers, and must be wherever they are told
    **dict.fromkeys(PORTS, list[Port]),
    **dict.fromkeys(DECIMALS, list[float]),
    **dict.fromkeys(("orig_bytes", "resp_bytes"), list[Count]),
    "trans_id": list[Count | None],
}
_LAST_PORT: Final = 65535
_OTHERS: Final = np.frombuffer(b"#{\n", np.uint8)  # a comment, JSON and nothing at all are no rows
_ATTRIBUTES: Final = {field.encode_name: field.name for field in msgspec.structs.fields(Record)}


class Records:
    """Of JSON records."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def has(self, field: str) -> bool:
        """Whether these records can tell it."""
        return True

    def times(self) -> NDArray[np.float64]:
        """[n] Unix seconds; NaN or infinite where one is no time."""
        told = (one if isinstance(one, float) else moment(one) for one in map(attrgetter("ts"), self._records))
        return np.fromiter(told, np.float64, len(self))

    def texts(self, *fields: str) -> Iterable[str]:
        """Each record's text: of the first of these fields that tells one."""
        told = [map(attrgetter(_ATTRIBUTES[field]), self._records) for field in fields]
        return told[0] if len(told) == 1 else map(_first, *told)

    def numbers(self, field: str) -> NDArray[Any]:
        """[n] each record's number."""
        cells = map(attrgetter(_ATTRIBUTES[field]), self._records)
        return np.fromiter(cells, np.float64 if field in DECIMALS else np.int64, len(self))


class Grid:
    """Of a block of TSV rows: where each cell lies in it."""

    def __init__(self, page: Page, ends: NDArray[np.int64], header: Header, escaped: bool) -> None:
        self._page = page
        self._ends = ends  # [rows, fields]
        self._starts = np.concatenate([[0], ends.ravel()[:-1] + 1]).reshape(ends.shape)
        self._header = header
        self._escaped = escaped
        told = [field for field in header.fields if field in NUMBERS]  # a bad one counts though nothing asks for it
        self._numbers = {field: self._converted(field) for field in told}

    @classmethod
    def of(cls, block: bytes, header: Header) -> Grid | None:
        """None where a row does not fit the header, is a line of another kind, or the header is not plain. Raises
        ValueError on a bad number.
        """
        width, separator = len(header.fields), header.separator
        if len(set(header.fields)) < width or "ts" not in header.fields:
            return None
        if len(separator) != 1 or separator == "\n" or not separator.isascii():
            return None
        page = Page.of(block)
        ends = page.places(separator, "\n")
        breaks = page.letters[ends] == ord("\n")
        if len(ends) % width or not (breaks == (np.arange(1, len(ends) + 1) % width == 0)).all():
            return None
        ends = ends.reshape(-1, width)
        first = page.letters[np.append(0, ends[:-1, -1] + 1)]
        return None if np.isin(first, _OTHERS).any() else cls(page, ends, header, b"\\x" in block)

    def __len__(self) -> int:
        return len(self._ends)

    def has(self, field: str) -> bool:
        """Whether these records can tell it."""
        return field in self._header.fields

    def times(self) -> NDArray[np.float64]:
        """[n] Unix seconds; NaN or infinite where one is no time."""
        return _numbers(self._cells("ts"), list[float])

    def texts(self, *fields: str) -> Cells | Made:
        """Each record's text: of the first of these fields that tells one."""
        told = [self._cells(field).without(self._header.missing) for field in fields]
        cells = reduce(Cells.or_else, told)
        return Made.of(cells.words(), unescape) if self._escaped else cells

    def numbers(self, field: str) -> NDArray[Any]:
        """[n] each record's number."""
        return self._numbers[field]

    def _converted(self, field: str) -> NDArray[Any]:
        cells, kind = self._cells(field), NUMBERS[field]
        told = np.flatnonzero(~cells.say(self._header.unset) & ~cells.say(self._header.empty))
        if len(told) == len(cells):
            return _numbers(cells, kind)
        numbers = np.zeros(len(cells), np.float64 if field in DECIMALS else np.int64)
        numbers[told] = _numbers(cells.take(told), kind)
        return numbers

    def _cells(self, field: str) -> Cells:
        at = self._header.fields.index(field)
        starts = np.ascontiguousarray(self._starts[:, at])
        return Cells(self._page, starts, self._ends[:, at] - starts)


def _numbers(cells: Cells, kind: Any) -> NDArray[Any]:
    """What msgspec makes of the cells as numbers of this kind: those that are plain all at once. Raises ValueError."""
    numbers, plain = decimals(cells) if kind == list[float] else integers(cells)
    plain &= (cells.lengths > 0) & ((kind != list[Port]) | (numbers <= _LAST_PORT))
    odd = np.flatnonzero(~plain)
    if len(odd):
        numbers[odd] = [number or 0 for number in msgspec.convert(list(cells.take(odd).texts()), kind, strict=False)]
    return numbers


def _first(*texts: str) -> str:
    return next(filter(None, texts), "")
