import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import Event, EventBatch, Malformed, Parsed, parse_endpoint, parse_json_line, parse_windows

PARSERS = [parse_endpoint, parse_windows, parse_json_line]
FIELDS = ["time", "host", "event", "user", "severity", "target", "kind", "source", "port", "status", "bytes_in"]
FIELDS += ["EventID", "SourceName", "UtcTime", "GrantedAccess", "TargetImage", "DestinationPort"]
TEXTS = ["", "person:tina", "Microsoft-Windows-Sysmon", "1970-01-01 00:00:05", "0x1438", "-0x10", "C:\\lsass.exe", "²"]
values = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TEXTS) | st.text(max_size=9)
good = {"time": 1.0, "host": "h", "event": "e", "EventID": 10, "SourceName": TEXTS[2], "UtcTime": TEXTS[3]}
good |= {"kind": 1, "source": "s"}


def check(parse: Callable[[bytes, str], Parsed], line: bytes) -> None:
    parsed = parse(line, "s")
    assert parsed is None or isinstance(parsed, (Event, Malformed))
    if isinstance(parsed, Event):
        assert list(EventBatch.from_bytes(EventBatch.of([parsed]).to_bytes()).events()) == [parsed]


@pytest.mark.parametrize("parse", PARSERS)
@given(line=st.binary(max_size=200))
def test_any_bytes(parse: Callable[[bytes, str], Parsed], line: bytes) -> None:
    """Any bytes are an Event that fits a batch, None or Malformed: never an exception."""
    check(parse, line)


@pytest.mark.parametrize("parse", PARSERS)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), values), event_id=st.sampled_from([1, 3, 10, 22, 4624, 4663]))
def test_any_report(parse: Callable[[bytes, str], Parsed], changes: dict[str, Any], event_id: int) -> None:
    """The same for reports and host events with any values in their fields."""
    check(parse, json.dumps(good | {"EventID": event_id} | changes).encode())
