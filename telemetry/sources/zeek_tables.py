"""Records of one Zeek log by field, whichever way they were written: a column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from telemetry.malformed import Count, Port
from telemetry.sources.columns import Made
from telemetry.sources.zeek_header import Header
from telemetry.sources.zeek_record import Record, moment, unescape

PORTS: Final = ("p", "id.resp_p", "id_resp_p")
NUMBERS: Final[Mapping[str, Any]] = {  # fields of Record that are numbers, and must be wherever they are told
    **dict.fromkeys(PORTS, list[Port]),
    **dict.fromkeys(("duration", "rtt"), list[float]),
    **dict.fromkeys(("orig_bytes", "resp_bytes"), list[Count]),
    "trans_id": list[Count | None],
}
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

    def texts(self, field: str) -> Iterable[str]:
        """Each record's text."""
        return map(attrgetter(_ATTRIBUTES[field]), self._records)

    def numbers(self, field: str) -> NDArray[Any]:
        """[n] each record's number."""
        cells = map(attrgetter(_ATTRIBUTES[field]), self._records)
        return np.fromiter(cells, np.float64 if field in ("duration", "rtt") else np.int64, len(self))


class Cells:
    """Of a block of TSV rows, transposed."""

    def __init__(self, cells: list[str], header: Header, escaped: bool) -> None:
        self._cells = cells
        self._header = header
        self._escaped = escaped
        told = [field for field in header.fields if field in NUMBERS]  # a bad one counts though nothing asks for it
        self._numbers = {field: self._converted(field) for field in told}

    @classmethod
    def of(cls, text: str, header: Header) -> Cells | None:
        """None where a row does not fit the header, or the header is not plain. Raises ValueError on a bad number."""
        rows, width, separator = text.count("\n"), len(header.fields), header.separator
        if len(set(header.fields)) < width or "ts" not in header.fields or len(separator) != 1 or separator == "\n":
            return None
        cells = text.replace("\n", "\n" + separator).split(separator)[:-1]
        ends = cells[width - 1 :: width]
        if len(cells) != rows * width or "".join(ends).count("\n") != rows:  # a line break only where a row ends
            return None
        cells[width - 1 :: width] = [cell[:-1] for cell in ends]
        return cls(cells, header, "\\x" in text)

    def __len__(self) -> int:
        return len(self._cells) // len(self._header.fields)

    def has(self, field: str) -> bool:
        """Whether these records can tell it."""
        return field in self._header.fields

    def times(self) -> NDArray[np.float64]:
        """[n] Unix seconds; NaN or infinite where one is no time."""
        return np.array(msgspec.convert(self._column("ts"), list[float], strict=False))

    def texts(self, field: str) -> Iterable[str]:
        """Each record's text."""
        cells = self._column(field)
        if not self._escaped and not any(missing in cells for missing in self._header.missing):
            return cells
        made = Made(cells, self._told)
        return map(made.texts.__getitem__, made.codes.tolist())

    def numbers(self, field: str) -> NDArray[Any]:
        """[n] each record's number."""
        return self._numbers[field]

    def _converted(self, field: str) -> NDArray[Any]:
        cells, missing = self._column(field), self._header.missing
        if any(cell in cells for cell in missing):
            cells = ["0" if cell in missing else cell for cell in cells]
        return np.array(msgspec.convert(cells, NUMBERS[field], strict=False))

    def _column(self, field: str) -> list[str]:
        return self._cells[self._header.fields.index(field) :: len(self._header.fields)]

    def _told(self, cell: str) -> str:
        return "" if cell in self._header.missing else unescape(cell)
