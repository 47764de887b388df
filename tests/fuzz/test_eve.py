import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from telemetry import Event, EventBatch, Malformed, parse_eve

TYPES = ("alert", "flow", "dns", "http", "tls", "stats")
FIELDS = ("timestamp", "src_ip", "dest_ip", "dest_port", "proto", "app_proto", "flow_id", *TYPES, "queries", "rrname")
INNER = (
    "signature",
    "severity",
    "metadata",
    "bytes_toserver",
    "start",
    "end",
    "url",
    "status",
    "sni",
    "queries",
    "type",
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
times = st.sampled_from(["2021-06-06T15:59:46.457984+0200", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-2300"])
values = st.recursive(
    scalars | times,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner),
    max_leaves=8,
)


def check(line: bytes) -> None:
    parsed = parse_eve(line, "eve")
    assert parsed is None or isinstance(parsed, (Event, Malformed))
    if isinstance(parsed, Event):
        assert list(EventBatch.from_bytes(EventBatch.of([parsed]).to_bytes()).events()) == [parsed]


@given(st.binary(max_size=200))
def test_any_bytes(line: bytes) -> None:
    """Any bytes are an Event that fits a batch, None or Malformed: never an exception."""
    check(line)


@given(st.sampled_from(TYPES), times | scalars, st.dictionaries(st.sampled_from(FIELDS), values))
def test_any_record(event_type: str, timestamp: Any, fields: dict[str, Any]) -> None:
    """The same for objects with EVE's field names and any values."""
    check(
        json.dumps(
            {"timestamp": timestamp, "src_ip": "a", "dest_ip": "b"} | fields | {"event_type": event_type}
        ).encode()
    )


@given(st.binary(max_size=5), st.integers(0, 200))
def test_any_damage_to_a_good_line(damage: bytes, at: int) -> None:
    """The same for a good line with bytes replaced."""
    good = (
        b'{"timestamp":"2021-06-06T15:59:46.457984+0200","event_type":"flow","src_ip":"10.0.0.1","dest_ip":"10.0.0.2",'
    )
    good += b'"dest_port":445,"flow":{"bytes_toserver":60,"start":"2021-06-06T15:59:46.457984+0200"}}'
    check(good[:at] + damage + good[at + len(damage) :])
