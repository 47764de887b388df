"""An event is one thing that happened; a batch is events as columns, so that no Python runs per event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from telemetry.packing import pack_numbers, pack_words, unpack_numbers, unpack_words
from telemetry.texts import Texts
from telemetry.words import Words


class Kind(IntEnum):
    """What sort of thing happened; decides which detectors read the event."""

    REQUEST = 1  # one HTTP or gRPC request (Envoy access log at the edge; a sensor's http and tls records)
    FLOW = 2  # one network flow (Zeek conn, Suricata flow)
    ALERT = 3  # a sensor's own alert (Suricata alert, Zeek notice)
    DNS = 4  # one DNS question (Zeek dns, Suricata dns)
    ENDPOINT = 5  # something on a host, told by its agent (process access, credential dump)
    LEASE = 6  # an address given to a host for a while (DHCP)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One row, as sources write it and people read it. Times are Unix seconds, sizes bytes, durations seconds."""

    time: float
    kind: Kind
    source: str  # which telemetry source saw it: "edge", "eve:branch-7", "mqtt:endpoint"
    subject: str = ""  # principal id on whose behalf ("person:alice"), empty if unknown
    actor: str = ""  # principal id that acted; the subject itself if there was no delegation
    session: str = ""  # session or decision id
    address: str = ""  # source address
    peer: str = ""  # destination address or host
    service: str = ""  # service or application protocol
    resource: str = ""  # path, domain name, file: what was touched
    action: str = ""  # method, event type
    outcome: str = ""  # "allow", "deny", "S0", "error": how it ended, in the source's words
    name: str = ""  # alert signature, technique id, process name; of a request: id of the block that refused it
    status: int = 0  # HTTP or gRPC status
    port: int = 0  # destination port
    severity: int = 0  # 0 unknown, 1 low … 4 critical
    bytes_in: int = 0  # sent by `address`
    bytes_out: int = 0  # sent to `address`
    duration: float = 0.0


class InvalidBatch(ValueError):
    """Bytes that are not an event batch; the sender's fault."""


_TIME = 8  # bytes of a time
_OBJECTS = 4096  # bytes of a batch beside what its columns hold
NUMBERS: dict[str, type[np.generic]] = {
    "time": np.float64,
    "kind": np.uint8,
    "status": np.int16,
    "port": np.int32,
    "severity": np.uint8,
    "bytes_in": np.int64,
    "bytes_out": np.int64,
    "duration": np.float64,
}


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Columns of equal length, one row an event; field meanings are those of `Event`."""

    time: NDArray[np.float64]
    kind: NDArray[np.uint8]
    source: Words
    subject: Words
    actor: Words
    session: Words
    address: Words
    peer: Words
    service: Words
    resource: Words
    action: Words
    outcome: Words
    name: Words
    status: NDArray[np.int16]
    port: NDArray[np.int32]
    severity: NDArray[np.uint8]
    bytes_in: NDArray[np.int64]
    bytes_out: NDArray[np.int64]
    duration: NDArray[np.float64]

    @classmethod
    def of(cls, events: Sequence[Event]) -> EventBatch:
        """Turn rows into columns. Raises OverflowError if a number does not fit its column."""
        cells = zip(*map(msgspec.structs.astuple, events), strict=True) if events else ((),) * len(COLUMNS)
        return cls(**{name: _column(name, column) for name, column in zip(COLUMNS, cells, strict=True)})

    def __len__(self) -> int:
        return len(self.time)

    def events(self) -> Iterator[Event]:
        """Rows again, for people and for export; not for detectors. Raises ValueError where a kind is none."""
        for cells in zip(*(_cells(name, getattr(self, name)) for name in COLUMNS), strict=True):
            yield Event(**dict(zip(COLUMNS, cells, strict=True)))

    def take(self, rows: NDArray[Any] | slice) -> EventBatch:
        """Keep the rows chosen by an index or boolean array, or by a slice, which copies nothing."""
        return EventBatch(**{name: _take(getattr(self, name), rows) for name in COLUMNS})

    def compact(self) -> EventBatch:
        """The same rows, with text tables that hold only what these rows use: `take` leaves tables whole."""
        return EventBatch(**{name: _compact(getattr(self, name)) for name in COLUMNS})

    @property
    def size(self) -> int:
        """Bytes of memory that it holds, about: columns, text tables, and the objects around them."""
        return _OBJECTS + sum(_size(getattr(self, name)) for name in COLUMNS)

    def to_bytes(self) -> bytes:
        """Encode for another process: msgpack of little-endian columns (`telemetry.packing`). Raises ValueError where a
        text is half a surrogate pair, which UTF-8 has no bytes for.
        """
        return _ENCODER.encode({name: _pack(name, getattr(self, name)) for name in COLUMNS})

    @classmethod
    def from_bytes(cls, data: bytes) -> EventBatch:
        """Decode `to_bytes`. Raises InvalidBatch on anything else; what it returns is safe to read."""
        try:
            packed = _DECODER.decode(data)
            rows = len(packed["time"]) // _TIME  # nobody says how many who did not send so much
            batch = cls(**{name: _unpack(name, packed[name], rows) for name in COLUMNS})
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise InvalidBatch(f"not an event batch: {error}") from error
        batch._check()
        return batch

    def _check(self) -> None:
        for name in COLUMNS:
            column = getattr(self, name)
            codes = column.codes if isinstance(column, Words) else column
            if len(codes) != len(self):
                raise InvalidBatch(f"column {name} has {len(codes)} rows, time has {len(self)}")
            if isinstance(column, Words) and len(codes) and not 0 <= codes.min() <= codes.max() < len(column.values):
                raise InvalidBatch(f"column {name} has a code outside its table")
        if not IS_KIND[self.kind].all():
            raise InvalidBatch("column kind has a value that is no kind")


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(EventBatch))
IS_KIND = np.isin(np.arange(256), list(Kind))  # of each number that a column can hold
_Join = Callable[[Sequence[Texts]], tuple[Texts, NDArray[np.int32]]]
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(dict[str, Any])


def concatenate(batches: Sequence[EventBatch], *, merge: bool = True) -> EventBatch:
    """One batch of all rows, in order; no Python runs per text. Where equal texts of two tables need not `merge`, it
    takes a fifth of the time.
    """
    if len(batches) == 1:
        return batches[0]
    join = Texts.join if merge else Texts.lay
    return EventBatch(**{name: _join(name, [getattr(batch, name) for batch in batches], join) for name in COLUMNS})


def _column(name: str, cells: Sequence[Any]) -> Any:
    return np.fromiter(cells, NUMBERS[name], len(cells)) if name in NUMBERS else Words.of(cells)


def _cells(name: str, column: Any) -> Iterable[Any]:
    if isinstance(column, Words):
        return column
    return map(Kind, column.tolist()) if name == "kind" else column.tolist()


def _take(column: Any, rows: NDArray[Any] | slice) -> Any:
    return Words(column.codes[rows], column.values) if isinstance(column, Words) else column[rows]


def _compact(column: Any) -> Any:
    if not isinstance(column, Words):
        return column.copy()
    used = np.zeros(len(column.values), np.bool_)
    used[column.codes] = True
    return Words((np.cumsum(used, dtype=np.int32) - 1)[column.codes].astype(np.int32), column.values.keep(used))


def _size(column: Any) -> int:
    return int(column.codes.nbytes + column.values.nbytes if isinstance(column, Words) else column.nbytes)


def _join(name: str, columns: list[Any], join: _Join) -> Any:
    if name in NUMBERS:
        return np.concatenate(columns) if columns else np.empty(0, NUMBERS[name])
    if not columns:
        return Words.of(())
    table, places = join([words.values for words in columns])
    starts = accumulate((len(words.values) for words in columns), initial=0)
    return Words(
        places[np.concatenate([words.codes + start for words, start in zip(columns, starts, strict=False)])], table
    )


def _pack(name: str, column: Any) -> Any:
    if name == "time":
        return column.tobytes()
    return pack_words(column) if isinstance(column, Words) else pack_numbers(column)


def _unpack(name: str, packed: Any, rows: int) -> Any:
    return unpack_numbers(packed, NUMBERS[name], rows) if name in NUMBERS else unpack_words(packed, rows)
