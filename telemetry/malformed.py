"""What a parser answers: an event, nothing (a record of no interest), or Malformed, a value and never an exception."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec
import numpy as np

from telemetry.event import Event, EventBatch

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
    context: str = ""  # lines without which its line cannot be read again


Parsed: TypeAlias = Event | Malformed | None
Parse: TypeAlias = Callable[[bytes, str], Parsed]  # (line without its end, source) -> Parsed; never raises


@runtime_checkable
class ParseMany(Protocol):
    """A Parse that also takes many lines at once."""

    def __call__(self, line: bytes, source: str) -> Parsed:
        """See Parse."""

    def many(self, block: bytes, source: str) -> tuple[EventBatch, int] | None:
        """The events of a block of lines, each with its end, and how many lines are of no interest; None where a line
        has to be looked at by itself. Never raises, and with None it has changed nothing.
        """


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


def decode_block(decoder: msgspec.json.Decoder[Any], block: bytes) -> list[Any] | None:
    """A block of lines as the decoder's type, one of each line; None where a line has to be looked at by itself.

    A line break cannot be within a JSON text, and after a `}` within an object no `{` can follow: where every line
    begins with the one and ends with the other, and there are as many values as lines, each line is one value.
    """
    letters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    whole = block.startswith(b"{") and block.endswith(b"\n") and (letters[ends - 1] == ord("}")).all()
    if not whole or not (letters[ends[:-1] + 1] == ord("{")).all():
        return None
    try:
        records: list[Any] = decoder.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return records if len(records) == len(ends) else None


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
