"""Windows events as JSON lines (NXLog's and Winlogbeat's flat form): Sysmon and the Security log.

    Sysmon 1, Security 4688    ENDPOINT  process_create, resource the image
    Sysmon 10, Security 4663   ENDPOINT  process_access, service who opened it, resource what was opened
    Security 4624, 4625        ENDPOINT  logon, outcome success or failure, resource the account
    Sysmon 3                   FLOW      without sizes, which Sysmon does not know
    Sysmon 22                  DNS

Other events are ignored. The host is the peer; a Windows account is no principal of ours, so subject stays empty.
Sources: Microsoft Learn, "Sysmon: Events" and "Advanced security audit policy"; ATT&CK T1003.001, detection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from telemetry.event import Event, Kind
from telemetry.malformed import Malformed, Parsed, clip, decode, iso_time

_READ_MEMORY = 0x10  # PROCESS_VM_READ: what it takes to read credentials out of lsass.exe
_SYSMON = "Microsoft-Windows-Sysmon"
_SECURITY = "Microsoft-Windows-Security-Auditing"


class _Record(msgspec.Struct, rename="pascal"):
    event_id: int = msgspec.field(name="EventID")
    source_name: str = ""
    hostname: str = ""
    utc_time: str = ""
    timestamp: str = msgspec.field(name="@timestamp", default="")
    image: str = ""
    new_process_name: str = ""
    source_image: str = ""
    target_image: str = ""
    process_name: str = ""
    object_name: str = ""
    granted_access: str = ""
    access_mask: str = ""
    target_user_name: str = ""
    ip_address: str = ""
    source_ip: str = ""
    destination_ip: str = ""
    destination_port: str = ""
    protocol: str = ""
    query_name: str = ""
    query_status: str = ""


class _AnyRecord(msgspec.Struct):
    event_id: Any = msgspec.field(name="EventID")
    source_name: Any = msgspec.field(name="SourceName", default="")


_DECODER = msgspec.json.Decoder(_Record)
_ANY = msgspec.json.Decoder(_AnyRecord)


def parse_windows(line: bytes, source: str) -> Parsed:
    """One Windows event: an Event, None for one that is not read, or Malformed."""
    record = decode(_DECODER, line)
    if isinstance(record, Malformed):
        return _unread(line, record)
    columns = _COLUMNS.get((record.source_name, record.event_id))
    if columns is None:
        return None
    moment = iso_time(record.utc_time or record.timestamp)
    if math.isnan(moment):
        return Malformed("bad_time", (record.utc_time or record.timestamp)[:64])
    common: dict[str, Any] = {"time": moment, "kind": Kind.ENDPOINT, "source": source, "peer": clip(record.hostname)}
    return Event(**(common | columns(record)))


def _unread(line: bytes, malformed: Malformed) -> Malformed | None:
    """Events that are not read may use our fields in another shape."""
    if malformed.reason != "wrong_fields":
        return malformed
    record = decode(_ANY, line)
    read = isinstance(record, Malformed) or any(record.event_id == event_id for _, event_id in _COLUMNS)
    return malformed if read else None


def _process_create(record: _Record) -> dict[str, Any]:
    return {"action": "process_create", "resource": clip(record.image or record.new_process_name)}


def _process_access(record: _Record) -> dict[str, Any]:
    target = record.target_image or record.object_name
    dumps = target.lower().endswith("\\lsass.exe") and _mask(record.granted_access or record.access_mask) & _READ_MEMORY
    return {
        "action": "process_access",
        "service": clip(record.source_image or record.process_name),
        "resource": clip(target),
        "name": "T1003.001" if dumps else "",
        "severity": 3 if dumps else 0,
    }


def _logon(record: _Record) -> dict[str, Any]:
    return {
        "action": "logon",
        "outcome": "success" if record.event_id == 4624 else "failure",
        "resource": clip(record.target_user_name),
        "address": _unset(record.ip_address),
    }


def _connection(record: _Record) -> dict[str, Any]:
    port = record.destination_port
    return {
        "kind": Kind.FLOW,
        "address": _unset(record.source_ip),
        "peer": _unset(record.destination_ip),
        "port": min(int(port), 65535) if port.isascii() and port.isdigit() and len(port) <= 5 else 0,
        "action": clip(record.protocol),
    }


def _question(record: _Record) -> dict[str, Any]:
    return {
        "kind": Kind.DNS,
        "peer": clip(record.hostname),
        "service": "dns",
        "resource": clip(record.query_name),
        "outcome": clip(record.query_status),
    }


_COLUMNS: Mapping[tuple[str, int], Callable[[_Record], dict[str, Any]]] = {
    (_SYSMON, 1): _process_create,
    (_SYSMON, 3): _connection,
    (_SYSMON, 10): _process_access,
    (_SYSMON, 22): _question,
    (_SECURITY, 4624): _logon,
    (_SECURITY, 4625): _logon,
    (_SECURITY, 4663): _process_access,
    (_SECURITY, 4688): _process_create,
}


def _mask(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _unset(text: str) -> str:
    return "" if text == "-" else clip(text)
