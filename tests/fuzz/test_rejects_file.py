"""Lines of the file of rejects, which hold what others wrote, read again."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from telemetry import Event, EventBatch, Kind, Malformed, Reject, json_line
from telemetry.formats import parse_reject

GOOD = (
    json_line(Event(time=1.0, kind=Kind.DNS, source="s")).decode(),
    '{"ts":1.0,"conn_state":"S0"}',
    "#separator \\x09\n#path\tconn\n#fields\tts\tuid\n1.0\tC1",
    '{"event_type":"tls","timestamp":"1970-01-01T00:00:01","src_ip":"a","dest_ip":"b","tls":{}}',
    '{"time":1,"host":"h","event":"boot"}',
)


def check(line: bytes) -> None:
    parsed = parse_reject(line, "")
    assert parsed is None or isinstance(parsed, (Event, Malformed))
    if isinstance(parsed, Event):
        assert list(EventBatch.from_bytes(EventBatch.of([parsed]).to_bytes()).events()) == [parsed]


@given(st.binary(max_size=200))
def test_any_bytes(line: bytes) -> None:
    """Any bytes are an Event that fits a batch, None or Malformed: never an exception."""
    check(line)


@given(st.sampled_from(GOOD), st.integers(0, 100), st.text(max_size=5), st.booleans(), st.text(max_size=5))
def test_any_text_that_was_refused(good: str, at: int, damage: str, cut: bool, source: str) -> None:
    """The same for good lines with characters replaced, and for the file's own lines within it."""
    text = good[:at] + damage + good[at + len(damage) :]
    line = msgspec.json.encode(Reject(1.0, source, "not_json", text, cut))
    check(line)
    check(msgspec.json.encode(Reject(1.0, source, "not_json", line.decode(), cut)))


@given(
    st.dictionaries(st.sampled_from(["time", "source", "reason", "text", "cut"]), st.none() | st.text() | st.integers())
)
def test_any_record(record: dict[str, Any]) -> None:
    """The same for any shape of the record itself."""
    check(msgspec.json.encode(record))
