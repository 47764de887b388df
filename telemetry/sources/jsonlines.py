"""Our own events as JSON lines: what `events tail -o json` prints, `events import` reads again."""

from __future__ import annotations

from typing import Annotated

import msgspec

from telemetry.event import Event
from telemetry.malformed import Count, Malformed, Parsed, Port, Status, decode


class _Line(Event, frozen=True, kw_only=True):
    """An event whose numbers fit their columns."""

    status: Status = 0
    port: Port = 0
    severity: Annotated[int, msgspec.Meta(ge=0, le=4)] = 0
    bytes_in: Count = 0
    bytes_out: Count = 0


_DECODER = msgspec.json.Decoder(_Line)
_ENCODER = msgspec.json.Encoder()


def parse_json_line(line: bytes, source: str) -> Parsed:
    """One event. The source given replaces the one it names, which may be a lie; none given leaves it."""
    event: Event | Malformed = decode(_DECODER, line)
    if isinstance(event, Malformed):
        return event
    told = msgspec.structs.asdict(event)
    return Event(**(told | {"source": source} if source else told))


def json_line(event: Event) -> bytes:
    """The event as one line, without its end."""
    return _ENCODER.encode(event)
