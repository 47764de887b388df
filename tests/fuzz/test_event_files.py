"""Hostile files for `events import`: sniffed, unzipped and read within bounds, or named as unreadable."""

from __future__ import annotations

import gzip
import json
import struct
import tempfile
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry import EventBatch, FileReading, UnknownFormat, read_file

LINES = (
    b'{"event_type":"dns","timestamp":"1970-01-01T00:00:01","src_ip":"10.0.0.1","dest_ip":"10.0.0.2","dns":{}}',
    b'{"ts":1.0,"conn_state":"S0"}',
    b"#separator \\x09\n#path\tconn\n#fields\tts\tconn_state\n9.0\tS0",
    b'{"time":1.0,"kind":1,"source":"edge"}',
    b'{"time":1,"host":"h","event":"boot"}',
    b'{"EventID":1,"SourceName":"Microsoft-Windows-Sysmon","UtcTime":"1970-01-01 00:00:01"}',
    struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 1, 1, 4, 4) + b"\0" * 4,
)
BOMB = 128 * 1024 * 1024  # bytes that a small gzip unfolds to
HELD = 16 * 1024 * 1024  # bytes that reading any file may hold


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "file")


def read(path: Path, data: bytes) -> FileReading | None:
    """The file read to its end; None if it is no format of ours."""
    path.write_bytes(data)
    try:
        reading = read_file(path)
    except UnknownFormat:
        return None
    events = 0
    for batch in reading:
        events += len(EventBatch.from_bytes(batch.to_bytes()))
    assert events == reading.accepted
    return reading


def spoilt(data: bytes, at: int, damage: bytes) -> list[bytes]:
    at %= len(data) + 1
    return [data[:at], data[:at] + damage, data[:at] + damage + data[at + len(damage) :]]


damages = st.binary(min_size=1, max_size=8)


@settings(max_examples=60)
@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"\xd4\xc3\xb2\xa1"]))
def test_any_bytes(path: Path, data: bytes, start: bytes) -> None:
    """Any bytes are UnknownFormat, or are read to their end; every event fits a batch and is counted."""
    read(path, start + data)
    read(path, gzip.compress(data))


@settings(max_examples=60)
@given(at=st.integers(0, 400), damage=damages, good=st.sampled_from(LINES), zipped=st.booleans())
def test_a_good_file_damaged(path: Path, at: int, damage: bytes, good: bytes, zipped: bool) -> None:
    """The same for good files cut off, with bytes put in or replaced, zipped before or after."""
    content = b"\n".join([good] * 3)
    for data in spoilt(gzip.compress(content) if zipped else content, at, damage):
        read(path, data)
    for data in spoilt(content, at, damage):
        read(path, gzip.compress(data) if zipped else data)


def bomb(head: bytes) -> bytes:
    """A gzip of the head and then a great many zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"0" * (1024 * 1024)
    return packer.compress(head) + b"".join(packer.compress(block) for _ in range(BOMB >> 20)) + packer.flush()


@pytest.mark.parametrize(
    ("head", "malformed"),
    [(LINES[0] + b"\n", 1), (LINES[-1] + struct.pack("<IIII", 1, 1, 1 << 31, 1 << 31), 0), (b"[" * 100, None)],
    ids=["one line", "one packet", "no format"],
)
def test_a_bomb_takes_no_more_memory_than_any_file(path: Path, head: bytes, malformed: int | None) -> None:
    """However much a file unfolds to, looking at it and reading it hold a few pieces at a time."""
    read(path, head)  # what is imported on first use does not count
    data = bomb(head)
    assert len(data) < BOMB // 500
    tracemalloc.start()
    try:
        reading = read(path, data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < HELD
    assert (reading.malformed.total() if reading else None) == malformed


def test_a_capture_in_a_gzip_that_ends_too_early_says_so(path: Path) -> None:
    """What is missing is counted, as it is for lines."""
    packet = struct.pack("<IIII", 1, 1, 60_000, 60_000) + b"\0" * 60_000
    reading = read(path, gzip.compress(LINES[-1] + packet * 20)[:-9])
    assert reading
    assert reading.malformed["cut_off"] == 1


@settings(max_examples=30)
@given(deep=st.integers(1, 5000), digits=st.integers(1, 5000))
def test_json_that_is_deep_or_long(path: Path, deep: int, digits: int) -> None:
    """Nesting and numbers of any size in a line are that line's fault and nobody else's."""
    known = {"time": 1.0, "kind": 1, "source": "edge"}
    bad = json.dumps(known)[:-1].encode() + b',"more":' + b"[" * deep + b"]" * deep + b"}"
    long = json.dumps(known)[:-1].encode() + b',"bytes_in":' + b"9" * digits + b"}"
    reading = read(path, b"\n".join([LINES[3], bad, long, LINES[3]]))
    assert reading is not None
    assert reading.accepted + reading.malformed.total() == 4
    assert reading.accepted >= 2
