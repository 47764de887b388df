"""Zeek logs, TSV with its own header or JSON, one record a line: conn, dns and notice; other logs are ignored.

    conn    FLOW   service, action tcp|udp|icmp, outcome conn_state ("S0", "SF", "REJ")
    dns     DNS    resource the name asked for, action its type, outcome the answer's code, empty if none came
    notice  ALERT  name the notice ("Scan::Port_Scan"), action "notice"

Source: Zeek manual, "Zeek Log Formats and Inspection" (conn.log, dns.log, notice.log).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from telemetry.event import Event, Kind
from telemetry.malformed import MAX_LINE, Count, Malformed, Parsed, Port, clip, decode, iso_time


class _Record(msgspec.Struct, rename={"path": "_path", "stream": "@stream"}):
    """The fields of the three logs; some shippers write `id_orig_h` for Zeek's own `id.orig_h`."""

    ts: float | str
    path: str = ""
    stream: str = ""
    uid: str = ""
    orig: str = msgspec.field(name="id.orig_h", default="")
    resp: str = msgspec.field(name="id.resp_h", default="")
    resp_port: Port = msgspec.field(name="id.resp_p", default=0)
    orig_: str = msgspec.field(name="id_orig_h", default="")
    resp_: str = msgspec.field(name="id_resp_h", default="")
    resp_port_: Port = msgspec.field(name="id_resp_p", default=0)
    proto: str = ""
    service: str = ""
    duration: float = 0.0
    orig_bytes: Count = 0
    resp_bytes: Count = 0
    conn_state: str = ""
    trans_id: Count | None = None
    query: str = ""
    qtype_name: str = ""
    rcode_name: str = ""
    rtt: float = 0.0
    note: str = ""
    src: str = ""
    dst: str = ""
    p: Port = 0


class _AnyRecord(msgspec.Struct, rename={"path": "_path", "stream": "@stream"}):
    path: str = ""
    stream: str = ""
    conn_state: Any = None
    trans_id: Any = None
    note: Any = None


_DECODER = msgspec.json.Decoder(_Record)
_ANY = msgspec.json.Decoder(_AnyRecord)


def parse_zeek_json(line: bytes, source: str) -> Parsed:
    """One JSON record; its log is the one that it names (`_path`, `@stream`), or the one whose fields it has."""
    record = decode(_DECODER, line)
    if isinstance(record, Malformed):
        return _unread(line, record)
    return _event(record, _log_of(record), source)


def _log_of(record: _Record | _AnyRecord) -> str:
    if record.path or record.stream:
        return record.path or record.stream
    if record.conn_state:
        return "conn"
    if record.note:
        return "notice"
    return "dns" if record.trans_id is not None else ""


def _unread(line: bytes, malformed: Malformed) -> Malformed | None:
    if malformed.reason != "wrong_fields":
        return malformed
    record = decode(_ANY, line)
    return malformed if isinstance(record, Malformed) or _log_of(record) in _COLUMNS else None


def _conn(record: _Record) -> dict[str, Any]:
    return {
        "kind": Kind.FLOW,
        "service": clip(record.service),
        "action": clip(record.proto),
        "outcome": clip(record.conn_state),
        "bytes_in": record.orig_bytes,
        "bytes_out": record.resp_bytes,
        "duration": record.duration,
    }


def _dns(record: _Record) -> dict[str, Any]:
    return {
        "kind": Kind.DNS,
        "service": "dns",
        "resource": clip(record.query),
        "action": clip(record.qtype_name),
        "outcome": clip(record.rcode_name),
        "duration": record.rtt,
    }


def _notice(record: _Record) -> dict[str, Any]:
    return {"kind": Kind.ALERT, "action": "notice", "name": clip(record.note)}


_COLUMNS: Mapping[str, Callable[[_Record], dict[str, Any]]] = {"conn": _conn, "dns": _dns, "notice": _notice}


def _event(record: _Record, log: str, source: str) -> Parsed:
    columns = _COLUMNS.get(log)
    if columns is None:
        return None
    event = Event(
        time=_moment(record.ts),
        source=source,
        session=clip(record.uid),
        address=clip(record.src or record.orig or record.orig_),
        peer=clip(record.dst or record.resp or record.resp_),
        port=record.p or record.resp_port or record.resp_port_,
        **columns(record),
    )
    finite = math.isfinite(event.time) and math.isfinite(event.duration)
    return event if finite else Malformed("bad_time", str(record.ts)[:64])


def _moment(ts: float | str) -> float:
    try:
        return float(ts)
    except ValueError:
        return iso_time(str(ts))


class ZeekParser:
    """Reads one Zeek log, line by line, TSV or JSON. It remembers the TSV header, which a rotated file repeats."""

    def __init__(self) -> None:
        self._separator = "\t"
        self._unset = "-"
        self._empty = "(empty)"
        self._path = ""
        self._fields: list[str] = []

    def __call__(self, line: bytes, source: str) -> Parsed:
        """One line: an Event, None for a header or a log that is not read, or Malformed."""
        if line.startswith(b"{"):
            return parse_zeek_json(line, source)
        if len(line) > MAX_LINE:
            return Malformed("too_long", f"{len(line)} bytes, limit {MAX_LINE}")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            return Malformed("not_text", str(error))
        if text.startswith("#"):
            self._header(text)
            return None
        return self._row(text, source)

    def _header(self, text: str) -> None:
        if text.startswith("#separator "):
            self._separator = _unescape(text[len("#separator ") :]) or "\t"
            return
        key, _, value = text.partition(self._separator)
        match key:
            case "#unset_field":
                self._unset = value
            case "#empty_field":
                self._empty = value
            case "#path":
                self._path, self._fields = value, []
            case "#fields":
                self._fields = value.split(self._separator)

    def _row(self, text: str, source: str) -> Parsed:
        if not self._fields:
            return Malformed("no_header", "a row before any #fields line")
        if self._path not in _COLUMNS:
            return None
        cells = text.split(self._separator)
        if len(cells) != len(self._fields):
            return Malformed("bad_columns", f"{len(cells)} columns, header has {len(self._fields)}")
        missing = (self._unset, self._empty)
        row = {name: cell for name, cell in zip(self._fields, cells, strict=True) if cell not in missing}
        if "\\x" in text:
            row = {name: _unescape(cell) for name, cell in row.items()}
        try:
            return _event(msgspec.convert(row, _Record, strict=False), self._path, source)
        except msgspec.ValidationError as error:
            return Malformed("wrong_fields", str(error))


_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
