import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from telemetry import Event, EventBatch, Malformed, ZeekParser

FIELDS = (
    "ts",
    "uid",
    "id.orig_h",
    "id.resp_p",
    "duration",
    "orig_bytes",
    "conn_state",
    "trans_id",
    "note",
    "_path",
    "p",
    "assigned_addr",
    "host_name",
    "mac",
    "lease_time",
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
cells = st.sampled_from(
    ["-", "(empty)", "1.5", "nan", "-inf", "1e400", "99999999999999999999", "\\x09", "²"]
) | st.text(max_size=8)
headers = st.sampled_from(
    ["#separator \\x09", "#separator ", "#separator \\x00", "#path\tconn", "#path\tdns", "#path\tdhcp", "#fields"]
)


def check(lines: list[bytes]) -> None:
    parser = ZeekParser()
    for line in lines:
        parsed = parser(line, "zeek")
        assert parsed is None or isinstance(parsed, (Event, Malformed))
        if isinstance(parsed, Event):
            assert math.isfinite(parsed.time)
            assert list(EventBatch.from_bytes(EventBatch.of([parsed]).to_bytes()).events()) == [parsed]


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_lines(lines: list[bytes]) -> None:
    """Any lines, in any order, are each an Event that fits a batch, None or Malformed: never an exception."""
    check(lines)


@given(st.lists(headers | st.lists(cells, max_size=4).map("\t".join), max_size=12))
def test_any_header_and_rows(lines: list[str]) -> None:
    """The same for header lines in any order among rows of any cells."""
    check([line.encode() for line in lines])


@given(
    st.sampled_from(["conn", "dns", "notice", "dhcp", "ssl"]),
    st.lists(st.tuples(st.sampled_from(FIELDS), cells), max_size=8),
)
def test_any_cells_under_a_good_header(log: str, row: list[tuple[str, str]]) -> None:
    """The same for a header of Zeek's fields, repeated ones too, over any cells."""
    fields, values = [name for name, _ in row], [cell for _, cell in row]
    check([f"#path\t{log}".encode(), "\t".join(["#fields", *fields]).encode(), "\t".join(values).encode()])


@given(st.dictionaries(st.sampled_from(FIELDS), scalars))
def test_any_json_record(record: dict[str, Any]) -> None:
    """The same for objects with Zeek's field names and any values."""
    check([json.dumps(record).encode()])
