"""What a line is, found by looking, and who reads it; our own rejects are read by whoever reads what was refused."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from telemetry.malformed import Malformed, Parse, Parsed, decode
from telemetry.rejects import Reject
from telemetry.sources.endpoint import parse_endpoint
from telemetry.sources.eve import parse_eve
from telemetry.sources.jsonlines import parse_json_line
from telemetry.sources.windows import parse_windows
from telemetry.sources.zeek import ZeekParser

Format = Literal["eve", "zeek", "events", "endpoint", "windows", "rejects", "pcap"]

_OBJECT = msgspec.json.Decoder(dict[str, Any])
_REJECT = msgspec.json.Decoder(Reject)
_MARKS: tuple[tuple[str, Format], ...] = (  # a field that only this format has; the first found decides
    ("event_type", "eve"),
    ("EventID", "windows"),
    ("ts", "zeek"),
    ("kind", "events"),
    ("event", "endpoint"),
    ("reason", "rejects"),
)


def format_of_line(line: bytes) -> Format | None:
    """None of a line that does not tell."""
    if line.startswith((b"#separator", b"#fields")):
        return "zeek"
    record = decode(_OBJECT, line)
    if isinstance(record, Malformed):
        return None
    return next((found for field, found in _MARKS if field in record), None)


def parser(found: Format) -> Parse:
    """A parser of the lines of this format, which must not be a capture's."""
    parsers: dict[str, Parse] = {
        "eve": parse_eve,
        "zeek": ZeekParser(),
        "events": parse_json_line,
        "endpoint": parse_endpoint,
        "windows": parse_windows,
        "rejects": parse_reject,
    }
    return parsers[found]


def parse_reject(line: bytes, source: str) -> Parsed:
    """What a line of the file of rejects was refused for, read again: as what it is, from its own source where none is
    given. One that was kept cut, or does not tell what it is, is malformed as it was.
    """
    reject: Reject | Malformed = decode(_REJECT, line)
    if isinstance(reject, Malformed):
        return reject
    if reject.cut:
        return Malformed("cut_off", "more than was kept of it")
    lines = reject.text.encode().split(b"\n") if reject.text.startswith("#") else [reject.text.encode()]
    found = format_of_line(lines[0])
    if found is None or found == "rejects":
        return Malformed("not_json", "nothing that tells what it is")
    parse, given = parser(found), source or ("" if found == "events" else reject.source)
    return [parse(one, given) for one in lines][-1]
