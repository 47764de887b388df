"""Requests over HTTP/2 that hide another one, as data: most are an attack only once an HTTP/1 request is made of them.

After "HTTP/2: The Sequel is Always Worse" (Kettle, 2021) and RFC 9113 section 8.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from bench.identities.callers import HOST
from tests.gateway.smuggled import inner

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Http2:
    """A request: pseudo-headers and headers, what follows them, and trailers."""

    headers: Headers
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()


# {n} is the length of the hidden request.
_LENGTHS = ("0", "5", "1{n}", "{n}, 0", "+{n}", "-1", "", "x", "18446744073709551616", "0x{n}", "{n}\r\n")
_ENCODING_NAMES = (
    "transfer-encoding",
    "Transfer-Encoding",
    "transfer_encoding",
    "transfer-encoding ",
    " transfer-encoding",
)
_ENCODINGS = ("chunked", "xchunked", "identity, chunked", "chunked\r\nx: y")
_OF_CONNECTIONS = (
    *(("connection", "transfer-encoding"), ("connection", "txn-token"), ("keep-alive", "x"), ("te", "chunked")),
    *(("upgrade", "websocket"), ("upgrade", "h2c"), ("proxy-connection", "x"), ("http2-settings", "AAMA")),
)
_TWICE = (
    *((":path", "/x"), (":authority", "evil.example"), (":method", "GET"), (":scheme", "https"), (":status", "200")),
    (":x", "y"),
)
_TRAILERS = (
    *("txn-token", "authorization", "x-portcullis-subject", "content-length", "transfer-encoding", ":path", "host"),
)
_BREAKS = ("\r\n", "\n", "\r", "\0", "\r\n\r\n")


def over_http_2(service: str, bearer: str) -> list[Http2]:
    """All of them."""
    pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", HOST), (":path", f"/{service}/echo/outer")]
    good = [*pseudo, ("authorization", bearer), ("x-caller", "alice")]
    kinds = (_framed, _connected, _twice, _trailed, _broken)
    return [one for hidden in inner(service, bearer) for kind in kinds for one in kind(good, hidden)]


def _framed(good: Headers, hidden: bytes) -> Iterator[Http2]:
    """Lengths and encodings that say another length than the frames do."""
    n = str(len(hidden))
    for length in _LENGTHS:
        yield Http2([*good, ("content-length", length.replace("{n}", n))], hidden)
    for lengths in (("0", n), (n, "0"), (n, n)):
        yield Http2([*good, *(("content-length", each) for each in lengths)], hidden)
    for line in product(_ENCODING_NAMES, _ENCODINGS):
        yield Http2([*good, line], b"0\r\n\r\n" + hidden)


def _connected(good: Headers, hidden: bytes) -> Iterator[Http2]:
    """What is said of a connection, and asks for another protocol or a tunnel."""
    for line in _OF_CONNECTIONS:
        yield Http2([*good, line], hidden)
        yield Http2([*good, line, ("upgrade", "h2c")], hidden)
    for protocol in ("websocket", "connect-udp", "h2c", ""):
        yield Http2([(":method", "CONNECT"), (":protocol", protocol), *good[1:]], hidden)
    yield Http2([(":method", "CONNECT"), *good[2:3], *good[4:]], hidden)


def _twice(good: Headers, hidden: bytes) -> Iterator[Http2]:
    """What there may be one of, and who is asked said in two ways."""
    for line in _TWICE:
        yield Http2([*good[:4], line, *good[4:]], hidden)
        yield Http2([*good, line], hidden)
    for host in ("evil.example", HOST, "", f"{HOST}\r\nx: y"):
        yield Http2([*good, ("host", host)], hidden)
        yield Http2([*good[:2], *good[3:], ("host", host)], hidden)


def _trailed(good: Headers, hidden: bytes) -> Iterator[Http2]:
    for name in _TRAILERS:
        yield Http2(good, hidden, ((name, "forged"),))
        yield Http2([*good, ("trailer", name)], hidden, ((name, "forged"),))
        yield Http2(good, hidden, ((name, "a\r\n\r\n" + hidden.decode()),))


def _broken(good: Headers, hidden: bytes) -> Iterator[Http2]:
    """Lines that end within a name or a value."""
    told, chunked = hidden.decode(), b"0\r\n\r\n" + hidden
    for end in _BREAKS:
        for rest in (f"{end}transfer-encoding: chunked", f"{end}content-length: 0", f"{end}{end}{told}", end):
            yield Http2([*good, ("x-a", f"a{rest}")], chunked)
            yield Http2([*good, (f"x-a: a{rest}{end}x", "b")], chunked)
        for at, rest in product(range(4), (f" HTTP/1.1{end}host: a{end}{end}{told}", f"{end}x: y", f" {told}")):
            name, value = good[at]
            yield Http2([*good[:at], (name, value + rest), *good[at + 1 :]])
        yield Http2([*good, ("cookie", f"a{end}"), ("cookie", f"transfer-encoding: chunked{end}{end}{told}")])
        yield Http2([*good[:4], ("authorization", f"{good[4][1]}{end}x-caller: root"), good[5]])
