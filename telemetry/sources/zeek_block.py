"""Many Zeek records at once: what `zeek` says of each line, as columns. Where a line is not as plain as its neighbours,
the block is left to the other way of reading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from telemetry.event import EventBatch, Kind
from telemetry.malformed import decode_block
from telemetry.sources.cells import Rows
from telemetry.sources.columns import Gathered, Texts, coded
from telemetry.sources.zeek_header import Header
from telemetry.sources.zeek_record import Record, log_of
from telemetry.sources.zeek_tables import PORTS, Grid, Records


class _Log(NamedTuple):
    """Which fields of a log are which of our columns, and what is the same in all of its rows."""

    kind: Kind
    texts: Mapping[str, tuple[str, ...]]  # of several fields the first that tells something
    numbers: Mapping[str, str]
    same: Mapping[str, str] = {}


READ: Final[Mapping[str, _Log]] = {
    "conn": _Log(
        Kind.FLOW,
        {"service": ("service",), "action": ("proto",), "outcome": ("conn_state",)},
        {"bytes_in": "orig_bytes", "bytes_out": "resp_bytes", "duration": "duration"},
    ),
    "dns": _Log(
        Kind.DNS,
        {"resource": ("query",), "action": ("qtype_name",), "outcome": ("rcode_name",)},
        {"duration": "rtt"},
        {"service": "dns"},
    ),
    "notice": _Log(Kind.ALERT, {"name": ("note",)}, {}, {"action": "notice"}),
    "dhcp": _Log(
        Kind.LEASE,
        {"address": ("assigned_addr",), "peer": ("host_name", "mac")},
        {"duration": "lease_time"},
        {"action": "lease"},
    ),
}
_COMMON: Final = {
    "session": ("uid",),
    "address": ("src", "id.orig_h", "id_orig_h"),
    "peer": ("dst", "id.resp_h", "id_resp_h"),
}
_OTHERS: Final = re.compile(rb"(?:^|\n)[#{\n]")  # lines that are no rows
_DECODER: Final = msgspec.json.Decoder(Record)


class _Table(Protocol):
    """Some records of one log, by field."""

    def __len__(self) -> int: ...
    def has(self, field: str) -> bool: ...
    def times(self) -> NDArray[np.float64]: ...
    def texts(self, *fields: str) -> Texts: ...
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
        elif not _gather(gathered, rows, READ[log], Records([records[row] for row in rows.tolist()])):
            return None
    return gathered.batch(), ignored


def tsv_block(block: bytes, header: Header, source: str) -> tuple[EventBatch, int] | None:
    """See ParseMany: of rows that have such a header, and nothing else."""
    if block.startswith(b"#") or not header.fields:
        return None
    gathered = Gathered(source)
    try:
        block.decode()
        if header.path not in READ:
            return None if _OTHERS.search(block) else (gathered.batch(), block.count(b"\n"))
        table = Grid.of(block, header)
        whole = table is not None and _gather(gathered, np.arange(len(table)), READ[header.path], table)
    except ValueError:  # a number that is none, or bytes that are no text: msgspec's errors are ValueErrors too
        return None
    return (gathered.batch(), 0) if whole else None


def _gather(gathered: Gathered, rows: Rows, log: _Log, table: _Table) -> bool:
    """Add the records of one log; false where one has a time that is none."""
    numbers = {name: table.numbers(field) for name, field in log.numbers.items() if table.has(field)}
    numbers["time"] = table.times()
    if not all(np.isfinite(column).all() for column in numbers.values()):
        return False
    ports = [table.numbers(field) for field in PORTS if table.has(field)]
    if ports:
        numbers["port"] = reduce(lambda first, other: np.where(first == 0, other, first), ports)
    told = {name: list(filter(table.has, fields)) for name, fields in {**_COMMON, **log.texts}.items()}
    texts: dict[str, Texts | str] = {name: table.texts(*fields) for name, fields in told.items() if fields}
    gathered.add(log.kind, rows, {**texts, **log.same}, numbers)
    return True
