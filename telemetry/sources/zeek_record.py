"""A record of Zeek's conn, dns, notice and dhcp logs, whichever way it was written."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from telemetry.malformed import Count, Port, iso_time


class Record(msgspec.Struct, gc=False, rename={"path": "_path", "stream": "@stream"}):
    """The fields of the four logs; some shippers write `id_orig_h` for Zeek's own `id.orig_h`."""

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
    assigned: str = msgspec.field(name="assigned_addr", default="")
    host: str = msgspec.field(name="host_name", default="")
    mac: str = ""
    lease: float = msgspec.field(name="lease_time", default=0.0)


class AnyRecord(msgspec.Struct, rename={"path": "_path", "stream": "@stream"}):
    """What tells which log a record is of, whatever shape its other fields have."""

    path: str = ""
    stream: str = ""
    conn_state: Any = None
    trans_id: Any = None
    note: Any = None
    assigned: Any = msgspec.field(name="assigned_addr", default=None)


def log_of(record: Record | AnyRecord) -> str:
    """The log that a record names, or the one whose fields it has; empty if none."""
    if record.path or record.stream:
        return record.path or record.stream
    if record.conn_state:
        return "conn"
    if record.note:
        return "notice"
    if record.trans_id is not None:
        return "dns"
    return "dhcp" if record.assigned else ""


def moment(ts: float | str) -> float:
    """Unix seconds; NaN if it is no time."""
    try:
        return float(ts)
    except ValueError:
        return iso_time(str(ts))


_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def unescape(text: str) -> str:
    """With Zeek's `\\xHH` as the characters that they stand for."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
