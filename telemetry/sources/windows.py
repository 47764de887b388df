"""Windows events as JSON lines (NXLog's and Winlogbeat's flat form): Sysmon, the Security and System logs, PowerShell,
Defender. What each becomes stands in `windows_events`; others are ignored.

The host is the peer; a Windows account is no principal of ours, so subject stays empty.
Sources: Microsoft Learn, "Sysmon: Events", "Advanced security audit policy", "about_Logging_Windows".
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from telemetry.event import Event, Kind
from telemetry.malformed import Malformed, Parsed, clip, decode, iso_time
from telemetry.sources.windows_events import READ
from telemetry.sources.windows_record import Record


class _AnyRecord(msgspec.Struct):
    event_id: Any = msgspec.field(name="EventID")
    source_name: Any = msgspec.field(name="SourceName", default="")


_DECODER = msgspec.json.Decoder(Record)
_ANY = msgspec.json.Decoder(_AnyRecord)


def parse_windows(line: bytes, source: str) -> Parsed:
    """One Windows event: an Event, None for one that is not read, or Malformed."""
    record = decode(_DECODER, line)
    if isinstance(record, Malformed):
        return _unread(line, record)
    columns = READ.get((record.source_name, record.event_id))
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
    read = isinstance(record, Malformed) or any(record.event_id == event_id for _, event_id in READ)
    return malformed if read else None
