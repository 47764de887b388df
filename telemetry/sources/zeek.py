"""Zeek logs, TSV with its own header or JSON, one record a line: conn, dns, notice and dhcp; other logs are ignored.

    conn    FLOW   service, action tcp|udp|icmp, outcome conn_state ("S0", "SF", "REJ")
    dns     DNS    resource the name asked for, action its type, outcome the answer's code, empty if none came
    notice  ALERT  name the notice ("Scan::Port_Scan"), action "notice"
    dhcp    LEASE  address the one assigned, peer the host's name as it calls itself, or its MAC, duration of the lease

Source: Zeek manual, "Zeek Log Formats and Inspection" (conn.log, dns.log, notice.log, dhcp.log).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from telemetry.event import Event, EventBatch, Kind
from telemetry.malformed import MAX_LINE, Malformed, Parsed, clip, decode
from telemetry.sources.zeek_block import READ, json_block, tsv_block
from telemetry.sources.zeek_header import Header
from telemetry.sources.zeek_record import AnyRecord, Record, log_of, moment, unescape

_DECODER = msgspec.json.Decoder(Record)
_ANY = msgspec.json.Decoder(AnyRecord)


def parse_zeek_json(line: bytes, source: str) -> Parsed:
    """One JSON record; its log is the one that it names (`_path`, `@stream`), or the one whose fields it has."""
    record = decode(_DECODER, line)
    if isinstance(record, Malformed):
        return _unread(line, record)
    return _event(record, log_of(record), source)


def _unread(line: bytes, malformed: Malformed) -> Malformed | None:
    if malformed.reason != "wrong_fields":
        return malformed
    record = decode(_ANY, line)
    return malformed if isinstance(record, Malformed) or log_of(record) in _COLUMNS else None


def _conn(record: Record) -> dict[str, Any]:
    return {
        "kind": Kind.FLOW,
        "service": clip(record.service),
        "action": clip(record.proto),
        "outcome": clip(record.conn_state),
        "bytes_in": record.orig_bytes,
        "bytes_out": record.resp_bytes,
        "duration": record.duration,
    }


def _dns(record: Record) -> dict[str, Any]:
    return {
        "kind": Kind.DNS,
        "service": "dns",
        "resource": clip(record.query),
        "action": clip(record.qtype_name),
        "outcome": clip(record.rcode_name),
        "duration": record.rtt,
    }


def _notice(record: Record) -> dict[str, Any]:
    return {"kind": Kind.ALERT, "action": "notice", "name": clip(record.note)}


def _dhcp(record: Record) -> dict[str, Any]:
    return {
        "kind": Kind.LEASE,
        "action": "lease",
        "address": clip(record.assigned),
        "peer": clip(record.host or record.mac),
        "duration": record.lease,
    }


_COLUMNS: Mapping[str, Callable[[Record], dict[str, Any]]] = {
    "conn": _conn,
    "dns": _dns,
    "notice": _notice,
    "dhcp": _dhcp,
}


def _event(record: Record, log: str, source: str) -> Parsed:
    columns = _COLUMNS.get(log)
    if columns is None:
        return None
    common: dict[str, Any] = {
        "time": moment(record.ts),
        "source": source,
        "session": clip(record.uid),
        "address": clip(record.src or record.orig or record.orig_),
        "peer": clip(record.dst or record.resp or record.resp_),
        "port": record.p or record.resp_port or record.resp_port_,
    }
    event = Event(**common | columns(record))
    finite = math.isfinite(event.time) and math.isfinite(event.duration)
    return event if finite else Malformed("bad_time", str(record.ts)[:64])


class ZeekParser:
    """Reads one Zeek log, line by line or many at once, TSV or JSON. It remembers the TSV header, which a rotated file
    repeats.
    """

    def __init__(self) -> None:
        self._header = Header()

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
            self._header = self._header.after(text)
            return None
        return self._row(text, source)

    def many(self, block: bytes, source: str) -> tuple[EventBatch, int] | None:
        """See ParseMany."""
        return json_block(block, source) if block.startswith(b"{") else tsv_block(block, self._header, source)

    def _row(self, text: str, source: str) -> Parsed:
        header = self._header
        if not header.fields:
            return Malformed("no_header", "a row before any #fields line")
        if header.path not in READ:
            return None
        cells = text.split(header.separator)
        if len(cells) != len(header.fields):
            return Malformed("bad_columns", f"{len(cells)} columns, header has {len(header.fields)}", header.text)
        row = {name: cell for name, cell in zip(header.fields, cells, strict=True) if cell not in header.missing}
        if "\\x" in text:
            row = {name: unescape(cell) for name, cell in row.items()}
        try:
            parsed = _event(msgspec.convert(row, Record, strict=False), header.path, source)
        except msgspec.ValidationError as error:
            return Malformed("wrong_fields", str(error), header.text)
        return msgspec.structs.replace(parsed, context=header.text) if isinstance(parsed, Malformed) else parsed
