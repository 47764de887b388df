"""What a parser answers: an event, nothing (a record of no interest), or Malformed, a value and never an exception."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from telemetry.event import Event

MAX_LINE = 1024 * 1024  # bytes of one line or message; a longer one is malformed
MAX_TEXT = 2048  # characters of one text cell; parsers cut longer ones, so that no path can escape being seen

Reason = Literal[
    "not_text",  # not UTF-8
    "not_json",  # not a JSON object
    "wrong_fields",  # a field is missing, of the wrong type or out of range
    "bad_time",  # no time that can be read
    "bad_columns",  # a Zeek row that does not fit its header
    "no_header",  # a Zeek row before any header
    "bad_packet",  # a packet or capture file that cannot be read
    "too_long",  # beyond MAX_LINE
    "cut_off",  # a compressed file ends too early
]

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Status = Annotated[int, msgspec.Meta(ge=0, le=32767)]


class Malformed(msgspec.Struct, frozen=True):
    """Input that says nothing we can use: its reason (one of few, fit for a metric) and what was wrong, in words."""

    reason: Reason
    detail: str = ""


Parsed: TypeAlias = Event | Malformed | None
Parse: TypeAlias = Callable[[bytes, str], Parsed]  # (line without its end, source) -> Parsed; never raises


def decode(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    """The line as the decoder's type, or Malformed."""
    if len(line) > MAX_LINE:
        return Malformed("too_long", f"{len(line)} bytes, limit {MAX_LINE}")
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as error:
        return Malformed("wrong_fields", str(error))
    except UnicodeDecodeError as error:
        return Malformed("not_text", str(error))
    except (msgspec.DecodeError, RecursionError) as error:
        return Malformed("not_json", str(error))


def iso_time(text: str) -> float:
    """Unix seconds of an ISO 8601 time, UTC where it names no zone; NaN if it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return math.nan


def clip(text: str) -> str:
    """At most MAX_TEXT characters."""
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT]
