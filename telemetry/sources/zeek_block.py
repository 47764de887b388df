"""Many Zeek records at once: what `zeek` says of each line, as columns. Where a line is not as plain as its neighbours,
the block is left to the other way of reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from telemetry.event import EventBatch, Kind
from telemetry.malformed import Count, Port, decode_block
from telemetry.sources.columns import Gathered, Made, Rows, Texts, coded
from telemetry.sources.zeek_record import Record, log_of, moment, unescape


class Header(NamedTuple):
    """What the comment lines of a TSV log say of its rows."""

    separator: str = "\t"
    unset: str = "-"
    empty: str = "(empty)"
    path: str = ""
    fields: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, str]:
        """Cells that tell nothing."""
        return self.unset, self.empty

    def after(self, line: str) -> Header:
        """With what one more comment line says; a new log's rows need a new line of fields."""
        if line.startswith("#separator "):
            return self._replace(separator=unescape(line[len("#separator ") :]) or "\t")
        key, _, value = line.partition(self.separator)
        match key:
            case "#unset_field":
                return self._replace(unset=value)
            case "#empty_field":
                return self._replace(empty=value)
            case "#path":
                return self._replace(path=value, fields=())
            case "#fields":
                return self._replace(fields=tuple(value.split(self.separator)))
        return self


class _Log(NamedTuple):
    """Which fields of a log are which of our columns, and what is the same in all of its rows."""

    kind: Kind
    texts: Mapping[str, str]
    numbers: Mapping[str, str]
    same: Mapping[str, str] = {}


READ: Final[Mapping[str, _Log]] = {
    "conn": _Log(
        Kind.FLOW,
        {"service": "service", "action": "proto", "outcome": "conn_state"},
        {"bytes_in": "orig_bytes", "bytes_out": "resp_bytes", "duration": "duration"},
    ),
    "dns": _Log(
        Kind.DNS,
        {"resource": "query", "action": "qtype_name", "outcome": "rcode_name"},
        {"duration": "rtt"},
        {"service": "dns"},
    ),
    "notice": _Log(Kind.ALERT, {"name": "note"}, {}, {"action": "notice"}),
}
_COMMON: Final = {  # of several fields the first that tells something
    "session": ("uid",),
    "address": ("src", "id.orig_h", "id_orig_h"),
    "peer": ("dst", "id.resp_h", "id_resp_h"),
}
_PORTS: Final = ("p", "id.resp_p", "id_resp_p")
_NUMBERS: Final[Mapping[str, Any]] = {  # fields of Record that are numbers, and must be wherever they are told
    **dict.fromkeys(_PORTS, list[Port]),
    **dict.fromkeys(("duration", "rtt"), list[float]),
    **dict.fromkeys(("orig_bytes", "resp_bytes"), list[Count]),
    "trans_id": list[Count | None],
}
_ATTRIBUTES: Final = {field.encode_name: field.name for field in msgspec.structs.fields(Record)}
_DECODER: Final = msgspec.json.Decoder(Record)


class _Table(Protocol):
    """Some records of one log, by field."""

    def __len__(self) -> int: ...
    def has(self, field: str) -> bool: ...
    def times(self) -> NDArray[np.float64]: ...
    def texts(self, field: str) -> Iterable[str]: ...
    def numbers(self, field: str) -> NDArray[Any]: ...


def json_block(block: bytes, source: str) -> tuple[EventBatch, int] | None:
    """See ParseMany: of JSON lines."""
    records = decode_block(_DECODER, block)
    if records is None:
        return None
    codes, logs = coded(map(log_of, records))
    gathered, ignored = Gathered(source), 0
    for log, code in logs.items():
        rows = np.flatnonzero(codes == code)
        if log not in READ:
            ignored += len(rows)
        elif not _gather(gathered, rows, READ[log], _Records([records[row] for row in rows.tolist()])):
            return None
    return gathered.batch(), ignored


def tsv_block(block: bytes, header: Header, source: str) -> tuple[EventBatch, int] | None:
    """See ParseMany: of rows that have such a header, and nothing else."""
    if block.startswith((b"#", b"\n")) or b"\n#" in block or b"\n{" in block or b"\n\n" in block or not header.fields:
        return None
    try:
        text = block.decode()
    except UnicodeDecodeError:
        return None
    if header.path not in READ:
        return EventBatch.of(()), text.count("\n")
    gathered = Gathered(source)
    try:
        table = _Cells.of(text, header)
        whole = table is not None and _gather(gathered, np.arange(len(table)), READ[header.path], table)
    except ValueError:  # a number that is none; msgspec's errors are ValueErrors
        return None
    return (gathered.batch(), 0) if whole else None


def _gather(gathered: Gathered, rows: Rows, log: _Log, table: _Table) -> bool:
    """Add the records of one log; false where one has a time that is none."""
    numbers = {name: table.numbers(field) for name, field in log.numbers.items() if table.has(field)}
    numbers["time"] = table.times()
    if not all(np.isfinite(column).all() for column in numbers.values()):
        return False
    ports = [table.numbers(field) for field in _PORTS if table.has(field)]
    if ports:
        numbers["port"] = reduce(lambda first, other: np.where(first == 0, other, first), ports)
    texts: dict[str, Texts | str] = {name: table.texts(field) for name, field in log.texts.items() if table.has(field)}
    for name, fields in _COMMON.items():
        told = [table.texts(field) for field in fields if table.has(field)]
        texts |= {name: told[0] if len(told) == 1 else map(_first, *told)} if told else {}
    gathered.add(log.kind, rows, {**texts, **log.same}, numbers)
    return True


def _first(*texts: str) -> str:
    return next(filter(None, texts), "")


class _Records:
    """Of JSON records."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def has(self, field: str) -> bool:
        return True

    def times(self) -> NDArray[np.float64]:
        told = (one if isinstance(one, float) else moment(one) for one in map(attrgetter("ts"), self._records))
        return np.fromiter(told, np.float64, len(self))

    def texts(self, field: str) -> Iterable[str]:
        return map(attrgetter(_ATTRIBUTES[field]), self._records)

    def numbers(self, field: str) -> NDArray[Any]:
        cells = map(attrgetter(_ATTRIBUTES[field]), self._records)
        return np.fromiter(cells, np.float64 if field in ("duration", "rtt") else np.int64, len(self))


class _Cells:
    """Of a block of TSV rows, transposed."""

    def __init__(self, cells: list[str], header: Header, escaped: bool) -> None:
        self._cells = cells
        self._header = header
        self._escaped = escaped
        told = [field for field in header.fields if field in _NUMBERS]  # a bad one counts though nothing asks for it
        self._numbers = {field: self._converted(field) for field in told}

    @classmethod
    def of(cls, text: str, header: Header) -> _Cells | None:
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
        return field in self._header.fields

    def times(self) -> NDArray[np.float64]:
        return np.fromiter(map(float, self._column("ts")), np.float64, len(self))

    def texts(self, field: str) -> Iterable[str]:
        cells = self._column(field)
        if not self._escaped and not any(missing in cells for missing in self._header.missing):
            return cells
        made = Made(cells, self._told)
        return map(made.texts.__getitem__, made.codes.tolist())

    def numbers(self, field: str) -> NDArray[Any]:
        return self._numbers[field]

    def _converted(self, field: str) -> NDArray[Any]:
        cells, missing = self._column(field), self._header.missing
        if any(cell in cells for cell in missing):
            cells = ["0" if cell in missing else cell for cell in cells]
        return np.array(msgspec.convert(cells, _NUMBERS[field], strict=False))

    def _column(self, field: str) -> list[str]:
        return self._cells[self._header.fields.index(field) :: len(self._header.fields)]

    def _told(self, cell: str) -> str:
        return "" if cell in self._header.missing else unescape(cell)
