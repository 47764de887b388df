"""Hostile bytes where Envoy asks over HTTP: whatever comes, in whatever pieces, nothing passes and nothing breaks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.enforcement.ext_authz_http import ExtAuthz
from gateway.identity import UnknownKey
from tests.gateway.parts import Bank

ENOUGH = 2 * 1024 * 1024  # bytes that are too many for any request, head and body
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Wire(asyncio.Transport):
    """What the protocol writes, and whether it closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@cache
def bank() -> Bank:
    """One judge that knows its issuer's key."""
    made = Bank()
    asyncio.run(made._ask(UnknownKey(made.config.identity.issuers[0].issuer)))
    return made


@cache
def good() -> bytes:
    """A request that is allowed."""
    head = (
        f"POST /pay?x HTTP/1.1\r\nhost: bank\r\nauthorization: Bearer {bank().token()}\r\nx-forwarded-for: 10.0.0.5\r\n"
    )
    return head.encode() + b'content-length: 12\r\n\r\n{"amount":5}'


async def answered(pieces: Iterator[bytes], judge: Any) -> Wire:
    """Feed the pieces as a socket would, which gives nothing more once closed; then what waits is answered."""
    wire, protocol = Wire(), ExtAuthz(judge)
    protocol.connection_made(wire)
    for piece in pieces:
        protocol.data_received(piece)
        await settled()
        if wire.closed:
            break
    return wire


async def settled() -> None:
    """Whatever the protocol started has ended."""
    async with asyncio.timeout(5):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)


def feed(pieces: Iterator[bytes]) -> Wire:
    return asyncio.run(answered(pieces, bank().judge))


def cut(data: bytes, at: list[int]) -> Iterator[bytes]:
    """The data in pieces that end at these places."""
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return (data[start:end] for start, end in pairwise(places) if start < end)


def check(wire: Wire, *, may_pass: bool) -> None:
    """Closed or answered; a 200 only where it may be, and no answer of another kind than we give."""
    statuses = set(map(int, STATUS.findall(wire.sent)))
    assert statuses <= {200, 400, 401, 403}
    assert may_pass or 200 not in statuses


places = st.lists(st.integers(0, 4000), max_size=4)


@given(st.binary(max_size=300), places)
@example(b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", [])
@example(b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", [])
@example(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [])
@example(b"GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", [3])
def test_any_bytes(data: bytes, at: list[int]) -> None:
    """Any bytes in any pieces are closed or refused; nothing is raised out of the protocol."""
    check(feed(cut(data, at)), may_pass=False)


lines = st.sampled_from(
    [
        *("host: a", "authorization: Bearer x.y.z", "authorization: Bearer " + "a" * 20_000, "authorization: \xff"),
        *(
            "x-forwarded-for: ,",
            "x-forwarded-for: 10.0.0.5",
            "x-forwarded-for: \x01",
            "x-forwarded-client-cert: URI=spiffe",
        ),
        *("content-length: 0", "content-length: 3", "content-length: 99999999999999999999", "content-length: -1"),
        *(
            "transfer-encoding: chunked",
            "connection: close",
            "connection: upgrade",
            "upgrade: h2c",
            "expect: 100-continue",
        ),
        *(" folded", ":", "a", "\x00: b", "a: \r"),
    ]
)
methods = st.sampled_from(["GET", "POST", "CONNECT", "PRI", "OPTIONS", "get", "M-SEARCH"]) | st.text(max_size=3)
targets = st.sampled_from(["/accounts/1001", "*", "http://a/b", "//", "/%00", "/pay", "a:1", ""]) | st.text(max_size=8)


@given(methods, targets, st.lists(lines, max_size=6), st.binary(max_size=40), places)
def test_any_head(method: str, target: str, headers: list[str], rest: bytes, at: list[int]) -> None:
    """The same for what is almost a request."""
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *headers])
    check(feed(cut(head.encode("latin-1", "replace") + b"\r\n\r\n" + rest, at)), may_pass=False)


@given(st.integers(0, 4000), st.binary(max_size=4), st.integers(0, 4), places)
def test_a_good_request_damaged(at: int, damage: bytes, removed: int, pieces: list[int]) -> None:
    """Nothing passes unless what the issuer signed is there, whole."""
    data, at = good(), at % len(good())
    hurt = data[:at] + damage + data[at + removed :]
    signed = bank_token(data).rpartition(b".")[0]
    check(feed(cut(hurt, pieces)), may_pass=signed in hurt)


def bank_token(request: bytes) -> bytes:
    found = re.search(rb"Bearer (\S+)", request)
    assert found
    return found[1]


@given(places)
def test_pieces_make_no_difference(at: list[int]) -> None:
    """A good request is allowed however it is cut, and however often it comes."""
    wire = feed(cut(good(), at))
    assert STATUS.findall(wire.sent) == [b"200"]


def endless(start: bytes, piece: bytes) -> Iterator[bytes]:
    yield start
    for _ in range(ENOUGH // len(piece) + 1):
        yield piece


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\na: ", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\n", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\n", b"authorization: Bearer x\r\n" * 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"trailer: x\r\n" * 400),
    ],
    ids=["target", "value", "name", "repeated", "trailers"],
)
def test_a_head_without_end_is_closed(start: bytes, piece: bytes) -> None:
    """A head is bounded, wherever its bytes are: beyond the bound the connection closes."""
    assert feed(endless(start, piece)).closed


def test_a_body_without_end_is_closed() -> None:
    start = b"POST /pay HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    assert feed(iter([start, *[chunk] * 20])).closed


async def test_requests_at_once_while_one_waits_are_closed() -> None:
    """Envoy does not pipeline: a second request before the first answer ends the connection, unanswered."""
    fresh = Bank()  # knows no key yet, so that the first must wait
    wire, protocol = Wire(), ExtAuthz(fresh.judge)
    protocol.connection_made(wire)
    token = fresh.token()
    request = f"GET /accounts/1001 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    protocol.data_received(request * 50)
    await settled()
    assert wire.closed
    assert wire.sent == b""
