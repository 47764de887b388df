import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from telemetry import Event, Kind, Malformed, parse_eve

COMMON = {
    "timestamp": "2021-06-06T15:59:46.500000+0200",
    "flow_id": 7,
    "src_ip": "78.36.196.213",
    "src_port": 51698,
    "dest_ip": "192.168.1.129",
    "dest_port": 445,
    "proto": "TCP",
}
TIME = 1622987986.5


def line(event_type: str, **fields: Any) -> bytes:
    return json.dumps(COMMON | {"event_type": event_type} | fields).encode()


def columns(**own: Any) -> Event:
    common: dict[str, Any] = {"session": "7", "address": "78.36.196.213", "peer": "192.168.1.129", "port": 445}
    return Event(**(common | {"time": TIME, "source": "eve:branch"} | own))


CASES: dict[str, tuple[dict[str, Any], Event]] = {
    "alert": (
        {"alert": {"signature": "ET SCAN", "action": "allowed", "category": "Misc Attack", "severity": 1}},
        columns(kind=Kind.ALERT, name="ET SCAN", action="Misc Attack", outcome="allowed", severity=3),
    ),
    "flow": (
        {
            "app_proto": "tls",
            "flow": {
                "bytes_toserver": 60,
                "bytes_toclient": 9,
                "start": "2021-06-06T15:59:40.0+0200",
                "end": "2021-06-06T15:59:41.5+0200",
                "state": "closed",
                "reason": "timeout",
            },
        },
        columns(
            kind=Kind.FLOW,
            service="tls",
            action="tcp",
            outcome="closed timeout",
            bytes_in=60,
            bytes_out=9,
            duration=1.5,
        ),
    ),
    "dns": (
        {"dns": {"type": "answer", "rrname": "a.example", "rrtype": "A", "rcode": "NXDOMAIN"}},
        columns(kind=Kind.DNS, service="dns", resource="a.example", action="A", outcome="NXDOMAIN"),
    ),
    "http": (
        {"http": {"hostname": "bank", "url": "/a?b", "http_method": "GET", "status": 404, "length": 5}},
        columns(kind=Kind.REQUEST, peer="bank", service="http", resource="/a", action="GET", status=404, bytes_out=5),
    ),
    "dhcp": (
        {
            "dhcp": {
                "type": "reply",
                "dhcp_type": "ack",
                "assigned_ip": "10.0.0.9",
                "hostname": "laptop-7",
                "client_mac": "02:00:5e:00:00:01",
                "lease_time": 3600,
            }
        },
        Event(
            time=TIME,
            kind=Kind.LEASE,
            source="eve:branch",
            address="10.0.0.9",
            peer="laptop-7",
            action="lease",
            duration=3600.0,
        ),
    ),
    "tls": ({"tls": {"sni": "bank"}}, columns(kind=Kind.REQUEST, peer="bank", service="tls", action="TLS")),
}


@pytest.mark.parametrize("event_type", CASES)
def test_each_record_type_becomes_an_event(event_type: str) -> None:
    fields, event = CASES[event_type]
    assert parse_eve(line(event_type, **fields), "eve:branch") == event


@pytest.mark.parametrize("dns", [{"type": "query", "rrname": "a"}, {"type": "request", "queries": [{"rrname": "a"}]}])
def test_a_question_of_either_dns_version(dns: dict[str, Any]) -> None:
    event = parse_eve(line("dns", dns=dns), "eve")
    assert isinstance(event, Event)
    assert (event.resource, event.outcome) == ("a", "query")


LEASE = {"type": "reply", "dhcp_type": "ack", "assigned_ip": "10.0.0.9", "client_mac": "02:00:5e:00:00:01"}


def test_a_host_without_a_name_is_known_by_its_mac() -> None:
    event = parse_eve(line("dhcp", dhcp=LEASE), "eve")
    assert isinstance(event, Event)
    assert (event.peer, event.duration) == ("02:00:5e:00:00:01", 0.0)


@pytest.mark.parametrize("other", [{"type": "request"}, {"dhcp_type": "offer"}, {"assigned_ip": "0.0.0.0"}])
def test_a_dhcp_message_that_gives_no_address_is_ignored(other: dict[str, str]) -> None:
    assert parse_eve(line("dhcp", dhcp=LEASE | other), "eve") is None


def test_a_critical_signature_is_critical() -> None:
    alert = {"signature": "s", "severity": 2, "metadata": {"signature_severity": ["Critical"]}}
    event = parse_eve(line("alert", alert=alert), "eve")
    assert isinstance(event, Event)
    assert event.severity == 4


def test_an_alert_below_ip_has_no_addresses() -> None:
    record = {"timestamp": COMMON["timestamp"], "event_type": "alert", "alert": {"signature": "SURICATA truncated"}}
    event = parse_eve(json.dumps(record).encode(), "eve")
    assert isinstance(event, Event)
    assert event.address == ""


@pytest.mark.parametrize("record", [{"event_type": "stats", "stats": {}}, {"event_type": "fileinfo", "http": 3}])
def test_other_record_types_are_ignored_whatever_their_fields(record: dict[str, Any]) -> None:
    assert parse_eve(json.dumps(record).encode(), "eve") is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b'{"event_type": "\xff"}', "not_text"),
        (b"[1]", "wrong_fields"),
        (b'{"event_type":' * 50_000, "not_json"),
        (b'{"event_type": "flow", "x": ' + b"[" * 100_000, "not_json"),
        (b'{"event_type": "flow"}', "wrong_fields"),
        (line("flow", flow={"bytes_toserver": -1}), "wrong_fields"),
        (line("flow", flow={"bytes_toserver": 2**63}), "wrong_fields"),
        (line("flow", flow={}, dest_port=65536), "wrong_fields"),
        (line("flow", flow={}, timestamp="yesterday"), "bad_time"),
        (line("tls", tls={}, pad="x" * 1024 * 1024), "too_long"),
    ],
)
def test_what_is_no_record_is_malformed_for_its_reason(bad: bytes, reason: str) -> None:
    parsed = parse_eve(bad, "eve")
    assert isinstance(parsed, Malformed)
    assert parsed.reason == reason


def test_a_time_without_a_zone_is_utc() -> None:
    event = parse_eve(line("tls", tls={}, timestamp="1970-01-01T00:00:05"), "eve")
    assert isinstance(event, Event)
    assert event.time == 5.0


def test_a_real_capture(data: Path) -> None:
    lines = gzip.decompress((data / "suricata/eve-malicious.json.gz").read_bytes()).splitlines()
    parsed = [parse_eve(one, "eve") for one in lines]
    assert not [one for one in parsed if isinstance(one, Malformed)]
    kinds = Counter(one.kind for one in parsed if isinstance(one, Event))
    assert kinds == {Kind.FLOW: 3512, Kind.ALERT: 745, Kind.DNS: 680, Kind.REQUEST: 57}
    assert parsed.count(None) == 6
