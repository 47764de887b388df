import json
from pathlib import Path
from typing import Any

import pytest

from telemetry import Event, Kind, Malformed, ZeekParser

IDS = {"ts": 1.5, "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 5, "id.resp_h": "10.0.0.2", "id.resp_p": 443}
CONN = {
    "proto": "tcp",
    "service": "ssl",
    "duration": 0.25,
    "orig_bytes": 6,
    "resp_bytes": 7,
    "conn_state": "SF",
}
DNS = {"proto": "udp", "trans_id": 3, "query": "a.example", "qtype_name": "A", "rcode_name": "NXDOMAIN", "rtt": 0.5}
NOTICE = {"note": "Scan::Port_Scan", "msg": "scan", "src": "10.9.9.9", "dst": "10.0.0.2", "p": 22}
DHCP = {
    "ts": 1.5, "uids": "{C1}", "client_addr": "10.0.0.1", "mac": "02:00:5e:00:00:01", "host_name": "laptop-7",
    "assigned_addr": "10.0.0.9", "lease_time": 3600.0, "msg_types": "REQUEST,ACK", "duration": 0.01,
}  # fmt: skip
COMMON: dict[str, Any] = {"source": "zeek", "session": "C1", "time": 1.5}
EVENTS = {
    "conn": Event(
        **COMMON,
        kind=Kind.FLOW,
        address="10.0.0.1",
        peer="10.0.0.2",
        port=443,
        service="ssl",
        action="tcp",
        outcome="SF",
        bytes_in=6,
        bytes_out=7,
        duration=0.25,
    ),
    "dns": Event(
        **COMMON,
        kind=Kind.DNS,
        address="10.0.0.1",
        peer="10.0.0.2",
        port=443,
        service="dns",
        resource="a.example",
        action="A",
        outcome="NXDOMAIN",
        duration=0.5,
    ),
    "notice": Event(
        **COMMON,
        kind=Kind.ALERT,
        address="10.9.9.9",
        peer="10.0.0.2",
        port=22,
        action="notice",
        name="Scan::Port_Scan",
    ),
    "dhcp": Event(
        time=1.5, kind=Kind.LEASE, source="zeek", address="10.0.0.9", peer="laptop-7", action="lease", duration=3600.0
    ),
}
RECORDS = {"conn": IDS | CONN, "dns": IDS | DNS, "notice": IDS | NOTICE, "dhcp": DHCP}


def tsv(log: str, *records: dict[str, Any], separator: str = "\t") -> list[bytes]:
    """The records as Zeek's ASCII writer would put them."""
    fields = list(records[0])
    told = "\\x09" if separator == "\t" else separator
    head = [("#separator " + told), *(separator.join(pair) for pair in [("#unset_field", "-"), ("#path", log)])]
    rows = [separator.join(str(record.get(field, "-")) for field in fields) for record in records]
    return [line.encode() for line in [*head, separator.join(["#fields", *fields]), *rows, f"#close{separator}x"]]


def parsed(lines: list[bytes]) -> list[Any]:
    parser = ZeekParser()
    return [one for one in (parser(line, "zeek") for line in lines) if one is not None]


@pytest.mark.parametrize("log", RECORDS)
def test_a_json_record_is_known_by_its_fields(log: str) -> None:
    assert parsed([json.dumps(RECORDS[log]).encode()]) == [EVENTS[log]]


@pytest.mark.parametrize("log", RECORDS)
@pytest.mark.parametrize("separator", ["\t", "|"])
def test_a_tsv_row_is_read_by_its_header(log: str, separator: str) -> None:
    assert parsed(tsv(log, RECORDS[log], separator=separator)) == [EVENTS[log]]


def test_a_host_without_a_name_is_known_by_its_mac() -> None:
    (event,) = parsed(tsv("dhcp", DHCP | {"host_name": "-"}))
    assert event.peer == "02:00:5e:00:00:01"


def test_field_names_of_other_shippers_and_a_named_log() -> None:
    record = {key.replace(".", "_"): value for key, value in RECORDS["conn"].items()}
    assert parsed([json.dumps(record | {"@stream": "conn"}).encode()]) == [EVENTS["conn"]]


def test_a_json_time_may_be_iso() -> None:
    (event,) = parsed([json.dumps(RECORDS["conn"] | {"ts": "1970-01-01T00:00:01.500000Z"}).encode()])
    assert event.time == 1.5


def test_unset_and_empty_cells_are_nothing() -> None:
    unset = dict.fromkeys(CONN, "-") | {"conn_state": "S0", "service": "(empty)"}
    (event,) = parsed(tsv("conn", IDS | unset))
    assert (event.service, event.duration, event.bytes_in, event.outcome) == ("", 0.0, 0, "S0")


def test_escaped_bytes_are_read() -> None:
    (event,) = parsed(tsv("dns", IDS | DNS | {"query": "a\\x09b"}))
    assert event.resource == "a\tb"


def test_a_new_header_replaces_the_old() -> None:
    lines = tsv("conn", RECORDS["conn"]) + tsv("dns", RECORDS["dns"])
    assert parsed(lines) == [EVENTS["conn"], EVENTS["dns"]]


def test_other_logs_are_ignored() -> None:
    assert parsed(tsv("weird", IDS | {"name": "x"})) == []
    assert parsed([b'{"ts": 1, "uid": "C", "duration": "of another type"}', b'{"_path": "ssl", "ts": 1}']) == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([b"1.5\tC1"], "no_header"),
        ([b"\xff"], "not_text"),
        ([b"{"], "not_json"),
        ([b"x" * (1024 * 1024 + 1)], "too_long"),
        ([*tsv("conn", IDS | CONN)[:-2], b"1.5\tC1"], "bad_columns"),
        (tsv("conn", IDS | CONN | {"ts": "nan"}), "bad_time"),
        (tsv("conn", IDS | CONN | {"ts": "-"}), "wrong_fields"),
        (tsv("conn", IDS | CONN | {"duration": "inf"}), "bad_time"),
        (tsv("conn", IDS | CONN | {"id.resp_p": "65536"}), "wrong_fields"),
        (tsv("conn", IDS | CONN | {"orig_bytes": "-5"}), "wrong_fields"),
        ([json.dumps(IDS | CONN | {"orig_bytes": "6"}).encode()], "wrong_fields"),
        ([json.dumps(IDS | CONN | {"ts": "soon"}).encode()], "bad_time"),
    ],
)
def test_what_is_no_record_is_malformed_for_its_reason(lines: list[bytes], reason: str) -> None:
    (malformed,) = parsed(lines)
    assert isinstance(malformed, Malformed)
    assert malformed.reason == reason


@pytest.mark.parametrize(
    ("file", "events"),
    [
        ("ctu-sme-11-conn.log.labeled", 766),
        ("ctu-sme-11-dns.log.labeled", 22),
        ("apt29-day1-combined.log", 668),
        ("port-scan-vertical-conn.log", 50),
        ("mixed/conn.log", 576),
        ("mixed/dns.log", 239),
        ("mixed/http.log", 0),
        ("mixed/notice.log", 18),
        ("mixed/ssl.log", 0),
    ],
)
def test_real_logs(data: Path, file: str, events: int) -> None:
    results = parsed((data / "zeek" / file).read_bytes().splitlines())
    assert not [one for one in results if isinstance(one, Malformed)]
    assert len(results) == events
