"""Many lines parsed at once say what each says by itself: the two ways of reading, side by side."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry import Parse, ZeekParser, parse_eve
from telemetry.malformed import iso_time
from telemetry.sources.lines import lines_of, parse_block, parse_lines
from telemetry.sources.times import iso_times

EVE = {
    "timestamp": "2021-06-06T15:59:46.457984+0200",
    "flow_id": 7,
    "src_ip": "10.0.0.1",
    "dest_ip": "10.0.0.2",
    "dest_port": 443,
    "proto": "TCP",
    "alert": {"signature": "s", "severity": 2, "metadata": {"signature_severity": ["Critical"]}},
    "flow": {"bytes_toserver": 5, "start": "2021-06-06T15:59:46.457984+0200", "end": "2021-06-06T16:59:46.000001+0200"},
    "dns": {"type": "answer", "rrname": "a.example", "rcode": "NXDOMAIN"},
    "http": {"hostname": "bank", "url": "/a?b", "http_method": "GET", "status": 404},
    "tls": {"sni": "bank"},
    "dhcp": {"type": "reply", "dhcp_type": "ack", "assigned_ip": "10.0.0.9", "client_mac": "02:00:5e:00:00:01"},
}
TYPES = ("alert", "flow", "dns", "http", "tls", "dhcp", "stats")
ZEEK = {
    "ts": 1.5,
    "uid": "C1",
    "id.orig_h": "10.0.0.1",
    "id.resp_h": "10.0.0.2",
    "id.resp_p": 53,
    "proto": "udp",
    "duration": 0.5,
    "orig_bytes": 7,
    "conn_state": "SF",
    "trans_id": 9,
    "query": "a.example",
    "rtt": 0.25,
    "note": "Scan",
    "src": "10.0.0.3",
    "p": 22,
    "assigned_addr": "10.0.0.9",
    "host_name": "laptop",
    "lease_time": 60.0,
}
odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, 65536, 2**63, "", "x" * 3000, "é", "\ud83d\ude00", [], {}, {"queries": [{}]}, "nan", 1e400]
)


def check(block: bytes, parser: Callable[[], Parse]) -> None:
    """The same events in the same order, as many ignored, the same malformed with their lines."""
    lines = lines_of(block)
    one, many = parse_lines(lines, parser(), "s"), parse_block(block, parser(), "s")
    assert list(many.batch.events()) == list(one.batch.events())
    assert many.ignored == one.ignored
    assert list(many.malformed) == list(one.malformed)


def block_of(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def mutated(lines: list[bytes], seed: int) -> bytes:
    """Some lines with bytes put in, taken out, swapped for another line's, or cut by a line break."""
    chance = random.Random(seed)
    for _ in range(len(lines) // 20):
        at = chance.randrange(len(lines))
        line = lines[at]
        cut = chance.randrange(len(line) + 1)
        other = lines[chance.randrange(len(lines))]
        put = chance.choice([b"", b"\n", b"\xff", b"{", b"}", b'"', b"\t", b"-", b"}{", b"\r", line[:cut], other[cut:]])
        lines[at] = line[:cut] + put + line[cut + chance.randrange(3) :]
    return block_of(lines)


def eve(kind: str, **changes: Any) -> bytes:
    return json.dumps(EVE | {"event_type": kind} | changes).encode()


eve_lines = st.builds(
    lambda kind, changes, gone: json.dumps(
        {name: told for name, told in (EVE | {"event_type": kind} | changes).items() if name not in gone}
    ).encode(),
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from([*EVE, "app_proto"]), odd, max_size=2),
    st.sets(st.sampled_from([*EVE]), max_size=2),
)
zeek_lines = st.builds(
    lambda fields, changes: json.dumps({name: ZEEK[name] for name in fields} | changes).encode(),
    st.sets(st.sampled_from(list(ZEEK))).map(lambda some: {"ts", *some}),
    st.dictionaries(
        st.sampled_from([*ZEEK, "_path", "id_orig_h"]), odd | st.sampled_from(["conn", "dhcp", "ssl"]), max_size=2
    ),
)
cells = st.sampled_from(
    ["-", "(empty)", "", "1.5", "7", "007", "+1", " 2", "1_0", "nan", "1e400", "\\x41", "x" * 3000, "²", "null"]
) | st.sampled_from(["1777000000.000005", "0.113113", "00.500000", "9" * 11 + ".000001", str(2**63), "{", "#", "\r"])
headers = st.sampled_from(
    ["#separator \\x09", "#separator \\x0a", "#path\tconn", "#path\tdns", "#path\tdhcp", "#path\tssl", "#close"]
)
plain_rows = st.lists(st.lists(cells, min_size=3, max_size=3).map("\t".join), min_size=20, max_size=40)


@given(st.lists(eve_lines, max_size=40))
@example([eve("dns"), eve("dns")[:-1], b'"more": {}}', eve("tls")])
@example([eve("dns") + eve("tls"), b'{"a":', b"1}"])
@example([eve("dns", x="\n"), eve("dns")[:-1] + b',"event_type":"tls"}', b" " + eve("tls"), eve("flow") + b" "])
def test_any_eve_records(lines: list[bytes]) -> None:
    check(block_of(lines), lambda: parse_eve)


@given(st.lists(zeek_lines, max_size=40))
def test_any_zeek_records(lines: list[bytes]) -> None:
    check(block_of(lines), ZeekParser)


@given(st.lists(st.lists(cells, max_size=5).map("\t".join) | headers, max_size=40))
def test_any_zeek_rows(lines: list[str]) -> None:
    head = ["#path\tconn", "#fields\tts\tuid\torig_bytes"]
    check(block_of(line.encode() for line in head + lines), ZeekParser)


@given(st.sampled_from(["conn", "dns", "notice", "dhcp", "ssl"]), st.permutations(list(ZEEK)), plain_rows)
def test_rows_under_any_fields(log: str, fields: list[str], rows: list[str]) -> None:
    check(block_of(line.encode() for line in [f"#path\t{log}", "\t".join(["#fields", *fields[:3]]), *rows]), ZeekParser)


@given(st.integers(2, 4), st.lists(st.integers(0, 2), min_size=30, max_size=60))
def test_rows_that_lend_each_other_cells_are_no_rows(width: int, surplus: list[int]) -> None:
    """As many cells as there should be in all, though not in each row."""
    fields = ("ts", "uid", "conn_state", "service")[:width]
    rows = ["\t".join(["1"] * (width - 1 + more)) for more in surplus]
    check(block_of(line.encode() for line in ["#path\tconn", "\t".join(["#fields", *fields]), *rows]), ZeekParser)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for parser in (lambda: parse_eve, ZeekParser):
        check(data + b"\n", parser)


def test_a_line_beyond_the_limit_among_others_is_too_long() -> None:
    long = eve("tls", pad="x" * 1024 * 1024)
    harvest = parse_block(block_of([eve("tls")] * 20 + [long] + [eve("tls")] * 20), parse_eve, "s")
    assert len(harvest.batch) == 40
    assert [malformed.reason for malformed, _ in harvest.malformed] == ["too_long"]


def test_good_lines_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is compared here are really two ways. Leases are: there are few."""
    asked = 0

    def one_by_one(*args: object) -> None:
        nonlocal asked
        asked += 1

    monkeypatch.setattr(type(parse_eve), "__call__", one_by_one)
    monkeypatch.setattr(ZeekParser, "__call__", one_by_one)
    kinds = [kind for kind in TYPES if kind != "dhcp"]
    lines = [eve(kind, alert=EVE["alert"] if kind == "alert" else None) for kind in kinds] * 9
    assert len(parse_block(block_of(lines), parse_eve, "s").batch) == 45
    assert len(parse_block(block_of([json.dumps(ZEEK).encode()] * 20), ZeekParser(), "s").batch) == 20
    assert not asked


@given(
    st.lists(
        st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26) + "+0200")
        | st.text("0123456789-:+.T", min_size=31, max_size=31)
        | st.sampled_from(["", "2020-02-30T00:00:00.000000+0000", "2021-06-06T15:59:46.457984-2400", "2021-06-06"])
    )
)
def test_times_are_those_of_the_standard_library(texts: list[str]) -> None:
    assert [repr(one) for one in iso_times(texts).tolist()] == [repr(iso_time(text)) for text in texts]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("file", ["suricata/eve-malicious.json.gz", "zeek/mixed/conn.log", "zeek/mixed/dns.log"])
def test_a_real_file_and_the_same_with_faults(data: Path, file: str, seed: int) -> None:
    content = (data / file).read_bytes()
    lines = lines_of(gzip.decompress(content) if file.endswith("gz") else content)
    check(block_of(lines) if seed == 0 else mutated(lines, seed), (lambda: parse_eve) if "eve" in file else ZeekParser)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "file",
    ["ctu-sme-11-conn.log.labeled", "apt29-day1-combined.log", "port-scan-vertical-conn.log", "mixed/notice.log"],
)
def test_a_real_zeek_log_and_the_same_with_faults(data: Path, file: str, seed: int) -> None:
    lines = lines_of((data / "zeek" / file).read_bytes())
    check(block_of(lines) if seed == 0 else mutated(lines, seed), ZeekParser)
