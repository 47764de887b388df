"""What was refused is read again from the file of rejects."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from telemetry import Door, Event, EventBatch, Kind, Reject, Rejects, ZeekParser, read_file
from telemetry.sources.lines import parse_block

NOW = 1_700_000_000.0
EVENT = Event(time=NOW, kind=Kind.FLOW, source="eve:a", session="C1", resource="é\n", duration=0.5)


def write(path: Path, *rejects: Reject) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(reject) + b"\n" for reject in rejects))
    return path


def test_events_refused_for_a_wrong_clock_come_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with Rejects(path=path) as rejects:
        assert Door(lambda batch: None, rejects, lambda: NOW - 3600).admit(EventBatch.of([EVENT] * 3)) == {
            "in_future": 3
        }
    reading = read_file(path)
    (batch,) = reading
    assert reading.format == "rejects"
    assert list(batch.events()) == [EVENT] * 3


def test_lines_are_read_as_what_they_are_from_their_own_source(tmp_path: Path) -> None:
    eve = {
        "event_type": "tls",
        "timestamp": "1970-01-01T00:00:01",
        "src_ip": "10.0.0.1",
        "dest_ip": "10.0.0.2",
        "tls": {},
    }
    texts = (json.dumps(eve), '{"ts": 1.0, "conn_state": "S0"}', '{"time": 1, "host": "h", "event": "boot"}')
    reading = read_file(write(tmp_path / "r", *(Reject(NOW, f"s{n}", "x", text) for n, text in enumerate(texts))))
    (batch,) = reading
    assert [(event.time, event.source) for event in batch.events()] == [(1.0, "s0"), (1.0, "s1"), (1.0, "s2")]


@pytest.mark.parametrize("separator", ["\t", "|"])
def test_a_row_of_a_zeek_log_is_kept_with_its_header(tmp_path: Path, separator: str) -> None:
    lines = [
        f"#separator \\x{ord(separator):02x}",
        "#unset_field|~".replace("|", separator),
        "#path|conn".replace("|", separator),
    ]
    lines += ["#fields|ts|uid|id.resp_p".replace("|", separator), "1.5|~|70000".replace("|", separator)]
    harvest = parse_block("\n".join([*lines, ""]).encode(), ZeekParser(), "zeek:a")
    path = tmp_path / "rejects.jsonl"
    with Rejects(path=path) as rejects:
        harvest.count("zeek:a", rejects)
    path.write_bytes(path.read_bytes().replace(b"70000", b"7000"))  # the cause is mended
    (batch,) = read_file(path)
    assert [(event.time, event.session, event.port, event.source) for event in batch.events()] == [
        (1.5, "", 7000, "zeek:a")
    ]


def test_what_was_kept_cut_or_tells_nothing_is_malformed(tmp_path: Path) -> None:
    whole = json.dumps({"ts": 1.0, "conn_state": "S0"})
    again = msgspec.json.encode(Reject(NOW, "s", "x", whole)).decode()
    rejects = [
        Reject(NOW, "s", "x", text, cut) for text, cut in ((whole, True), ("}", False), ("", False), (again, False))
    ]
    reading = read_file(write(tmp_path / "r", *rejects))
    assert list(reading) == []
    assert reading.malformed == {"cut_off": 1, "not_json": 3}


def test_a_long_line_is_kept_whole_in_the_file_and_cut_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with Rejects(path=path) as rejects:
        rejects.add("s", "x", "a" * 5000)
        rejects.add("s", "x", b"\xff" * 50_000)
    written = [msgspec.json.decode(line, type=Reject) for line in path.read_bytes().splitlines()]
    assert [(len(reject.text), reject.cut) for reject in written] == [(5000, False), (16_384, True)]
    assert [(len(reject.text), reject.cut) for reject in rejects.latest] == [(1024, True), (1024, True)]


def test_what_is_refused_again_while_the_file_is_read_is_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with Rejects(path=path) as rejects:
        for _ in range(3):
            rejects.add("s", "not_json", "}")
    with Rejects(path=path) as rejects:
        reading = read_file(path, rejects=rejects)
        assert list(reading) == []
    assert reading.malformed.total() == 3
    assert len(path.read_bytes().splitlines()) == 6
