import gzip
import json
import zipfile
from pathlib import Path

import pytest

from telemetry import Event, Kind, Rejects, UnknownFormat, json_line, read_file

EVENT = Event(time=1.0, kind=Kind.DNS, source="edge", resource="a")
TLS = {"event_type": "tls", "timestamp": "1970-01-01T00:00:01", "src_ip": "10.0.0.1", "dest_ip": "10.0.0.2", "tls": {}}
LINES = {
    "eve": json.dumps(TLS).encode(),
    "zeek": b'{"ts": 1.0, "conn_state": "S0"}',
    "events": json_line(EVENT),
    "endpoint": b'{"time": 1, "host": "h", "event": "boot"}',
    "windows": b'{"EventID": 1, "SourceName": "Microsoft-Windows-Sysmon", "UtcTime": "1970-01-01 00:00:01"}',
}


@pytest.mark.parametrize("form", LINES)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_format_is_found_by_looking(tmp_path: Path, form: str, zipped: bool) -> None:
    path = tmp_path / "file"
    content = b"\n" + LINES[form] + b"\nrubbish\n" + LINES[form]
    path.write_bytes(gzip.compress(content) if zipped else content)
    reading = read_file(path)
    events = [event for batch in reading for event in batch.events()]
    assert reading.format == form
    assert [event.time for event in events] == [1.0, 1.0]
    assert {event.source for event in events} == {"edge" if form == "events" else f"{form}:file"}
    assert reading.accepted == 2
    assert reading.malformed.total() == 1


def test_a_zeek_log_in_tsv(tmp_path: Path) -> None:
    path = tmp_path / "conn.log"
    path.write_text("#separator \\x09\n#path\tconn\n#fields\tts\tconn_state\n9.0\tS0\n")
    reading = read_file(path, source="mine")
    (batch,) = reading
    assert [(event.time, event.source) for event in batch.events()] == [(9.0, "mine")]
    assert reading.ignored == 3


@pytest.mark.parametrize("content", [b"", b"hello\n", b"[1]\n", b'{"a": 1}\n', b"\x1f\x8bno gzip", b"\0" * 100])
def test_what_is_no_format_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnknownFormat, match="file"):
        read_file(path)


def test_a_gzip_that_ends_too_early_gives_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"\n".join(json_line(EVENT) for _ in range(9000)))[:-9])
    reading = read_file(path)
    assert sum(len(batch) for batch in reading) == reading.accepted > 0
    assert reading.malformed["cut_off"] == 1


def test_malformed_lines_are_kept_aside(tmp_path: Path) -> None:
    path, rejects = tmp_path / "file", Rejects()
    path.write_bytes(json_line(EVENT) + b"\n{\n")
    list(read_file(path, rejects=rejects))
    assert [reject.text for reject in rejects.latest] == ["{"]


def test_a_missing_file_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("file", "form", "accepted"),
    [
        ("suricata/eve-malicious.json.gz", "eve", 4994),
        ("zeek/apt29-day1-combined.log", "zeek", 668),
        ("zeek/ctu-sme-11-conn.log.labeled", "zeek", 766),
        ("pcap/malicious-mixed.pcap", "pcap", 448),
    ],
)
def test_real_files(data: Path, file: str, form: str, accepted: int) -> None:
    reading = read_file(data / file)
    assert sum(len(batch) for batch in reading) == accepted == reading.accepted
    assert reading.format == form
    assert not reading.malformed


def test_a_real_host_log(data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(data / "endpoint/smbexec-lateral.zip") as archive:
        reading = read_file(Path(archive.extract(archive.namelist()[0], tmp_path)))
    assert (reading.format, sum(len(batch) for batch in reading)) == ("windows", 5459)
    assert not reading.malformed
