"""Receivers that mean harm: whatever they send to the transmitter is answered, and never with a fault of ours."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.signals.transmitter import LARGEST
from tests.gateway.telling_rig import REVOKED, emails, office, revoked

DEEP: Any = "bottom"
for _ in range(400):
    DEEP = [DEEP]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    "",
    "x" * 100_000,
    "\0",
    "é\u2028<>&",
    "'; DROP TABLE streams; --",
    "{}",
    [],
    [[]],
    {},
    {"": None},
    DEEP,
    {"format": "complex"},
    {"format": "complex", "user": {"format": "complex", "user": {"format": "email", "email": "a"}}},
    {"format": "complex", "user": None},
    {"format": "email"},
    {"format": "email", "email": 1},
    {"format": 1},
    {"format": "own", "a": DEEP},
    {"format": "own", "a": 10**300, "b": 1.5, "c\0\"'": "\0"},
    {"method": "urn:ietf:rfc:8935"},
    {"method": ["urn:ietf:rfc:8935"]},
    {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://receiver.example.com/" + "%" * 100},
    {"err": "invalid_key"},
]
RAW = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b'{"stream_id": "a", "stream_id": "b"}',
    b'{"stream_id": NaN}',
    b'{"stream_id": "\\ud800"}',
    b'{"stream_id": "\xff"}',
    b'{"maxEvents": 1e999999}',
    b'{"maxEvents": ' + b"9" * 10_000 + b"}",
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b'{"description": "' + b"x" * LARGEST + b'"}',
    b"\x1f\x8b" + bytes(100),
]


def asked(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Requests that are as they should be, but for the field that is replaced."""
    subject = {"format": "email", "email": "a@example.com"}
    return [
        ("POST", "streams", {"delivery": {}, "events_requested": [], "description": ""}),
        ("PATCH", "streams", {"stream_id": name, "delivery": {}, "events_requested": [], "description": "", "aud": ""}),
        ("PUT", "streams", {"stream_id": name, "delivery": {}, "events_delivered": [], "min_verification_interval": 1}),
        ("POST", "status", {"stream_id": name, "status": "enabled", "reason": ""}),
        ("POST", "subjects:add", {"stream_id": name, "subject": subject, "verified": True}),
        ("POST", "subjects:remove", {"stream_id": name, "subject": subject}),
        ("POST", "verify", {"stream_id": name, "state": ""}),
        ("POST", f"poll/{name}", {"maxEvents": 1, "returnImmediately": True, "ack": [], "setErrs": {}}),
    ]


async def test_no_body_makes_a_fault_of_ours(tmp_path: Path) -> None:
    """Every field of every request as everything that it should not be."""
    statuses: Counter[int] = Counter()
    async with office(tmp_path) as desk:
        name = await desk.create()
        for method, path, body in asked(name):
            for field in body:
                for value in VALUES:
                    status, _ = await desk.ask(method, path, json=body | {field: value})
                    assert status < 500, (method, path, field, value)
                    statuses[status] += 1
            for raw in RAW:
                status, _ = await desk.ask(method, path, data=raw)
                assert 400 <= status < 500, (method, path, raw[:50])
                statuses[status] += 1
    assert statuses.total() > 700
    assert set(statuses) >= {200, 400, 404, 413}


async def test_no_path_or_query_makes_a_fault_of_ours(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        for path in (
            "",
            "none",
            "poll",
            "poll/",
            "poll/a/b",
            "poll/%ff%00",
            "poll/" + "x" * 5000,
            "streams/x",
            "../ssf",
        ):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "NONE"):
                assert (await desk.ask(method, path, data=b"{}"))[0] in (400, 404, 405), (method, path)
        for query in (
            "",
            "?stream_id=",
            "?stream_id=%ff",
            "?stream_id=a&stream_id=b",
            "?stream_id=%00",
            "?x=" + "y" * 9000,
        ):
            for method in ("GET", "DELETE"):
                assert (await desk.ask(method, f"streams{query}"))[0] < 500
            assert (await desk.ask("GET", f"status{query}"))[0] == 404


async def test_a_storm_of_it_hides_nothing(tmp_path: Path) -> None:
    """What is told meanwhile comes."""
    async with office(tmp_path) as desk:
        name = await desk.create(events_requested=[REVOKED])
        for number in range(20):
            await desk.transmitter.publish(revoked(str(number)))
            await desk.ask("POST", f"poll/{name}", json={"ack": [f"{number:032x}"], "setErrs": {"x": {"err": "e"}}})
            await desk.ask("POST", f"poll/{name}", data=json.dumps({"ack": [name] * 5000}).encode() + b" ")
        assert emails((await desk.poll(name)).values()) == [str(number) for number in range(20)]
