"""Clients that are slow or a flood, in a process of their own: `python -m tests.gateway.slow_clients`.

Standard input is JSON: `port`, `authority` (PEM), `host`, `bearer`, `kinds` (name -> how many), and paths: `path` (a
short answer), `echo` (one once all is sent), `large` (longer than all buffers). Standard output is JSON, a line each:
`"ready"` once all are connected, then kind and seconds of each that is cut off.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.gateway.http2 import PREFACE, frame, headers_frame

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _CONTINUATION = 0, 1, 3, 4, 6, 9
_BETWEEN = 1.0  # seconds between two bytes, or two lines
_FLOOD = 200_000  # frames: what nobody has any need of
_RESETS = 2_000


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    asked: Any  # the settings

    def send(self, data: bytes) -> None:
        """Or forget it, where the connection is closed already."""
        if not self.writer.is_closing():
            self.writer.write(data)

    def head(self, method: str, path: str, *lines: str) -> str:
        """Of an HTTP/1 request."""
        told = (f"host: {self.asked['host']}", f"authorization: {self.asked['bearer']}", *lines)
        return "\r\n".join([f"{method} {path} HTTP/1.1", *told, ""])

    def request(self, stream: int, path: str, ends: bool = True) -> bytes:
        """One over HTTP/2."""
        pseudo = [(":method", "GET" if ends else "POST"), (":scheme", "https"), (":path", path)]
        named = [(":authority", self.asked["host"]), ("authorization", self.asked["bearer"])]
        return headers_frame(stream, [*pseudo, *named], ends)

    async def ended(self) -> None:
        """Until the other side has closed the connection."""
        with suppress(ConnectionError, ssl.SSLError):
            while await self.reader.read(65_536):
                pass


async def headers(client: Client) -> None:
    """A line a second, without end."""
    client.send(client.head("GET", client.asked["path"]).encode())
    await _forever(client, b"x: y\r\n")


async def body(client: Client) -> None:
    """A byte a second of many."""
    client.send(client.head("POST", client.asked["echo"], "content-length: 1000000", "").encode())
    await _forever(client, b"x")


async def _forever(client: Client, part: bytes) -> None:
    ended = asyncio.ensure_future(client.ended())
    while not (await asyncio.wait([ended], timeout=_BETWEEN))[0]:
        client.send(part)


async def reading(client: Client) -> None:
    """Asks for much, and reads a little a second."""
    client.send(client.head("GET", client.asked["large"], "").encode())
    with suppress(ConnectionError, ssl.SSLError):
        while await client.reader.read(100):  # noqa: ASYNC110 - slow is what it is
            await asyncio.sleep(_BETWEEN)


async def window(client: Client) -> None:
    """Asks for much over HTTP/2, and has no window for it."""
    client.send(PREFACE + frame(_SETTINGS, 0, 0, struct.pack(">HI", 4, 0)) + client.request(1, client.asked["large"]))
    await client.ended()


async def resets(client: Client) -> None:
    """Asks, and gives up at once, again and again (CVE-2023-44487)."""
    client.send(PREFACE + frame(_SETTINGS, 0, 0, b""))
    for number in range(_RESETS):
        stream = 2 * number + 1
        client.send(client.request(stream, client.asked["path"]) + frame(_RESET, 0, stream, struct.pack(">I", 8)))
    await client.ended()


async def pings(client: Client) -> None:
    """Pings, and never reads what comes back (CVE-2019-9512)."""
    await _unread(client, frame(_PING, 0, 0, bytes(8)))


async def settings(client: Client) -> None:
    """Settings, and never reads that they are known (CVE-2019-9515)."""
    await _unread(client, frame(_SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)))


async def _unread(client: Client, one: bytes) -> None:
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.send(PREFACE + frame(_SETTINGS, 0, 0, b""))
    await _flood(client, one * 100, _FLOOD // 100)


async def _flood(client: Client, some: bytes, times: int) -> None:
    """As fast as they are taken; then what was answered is read."""
    with suppress(ConnectionError, ssl.SSLError):
        for _ in range(times):
            client.send(some)
            await client.writer.drain()
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    await client.ended()


async def empty(client: Client) -> None:
    """Frames with nothing in them (CVE-2019-9518), of a request that is answered once all of it is there."""
    client.send(PREFACE + frame(_SETTINGS, 0, 0, b"") + client.request(1, client.asked["echo"], False))
    client.send(frame(_DATA, 0, 1, b"") * 100)
    await client.ended()


async def continuation(client: Client) -> None:
    """A head without end (CVE-2024-27316)."""
    client.send(PREFACE + frame(_SETTINGS, 0, 0, b"") + frame(_HEADERS, 0, 1, b""))
    line = b"\0\x01x\x7f\xa1\x06" + b"y" * 928  # a literal of 928 bytes (RFC 7541 sections 5.1 and 6.2.2)
    await _flood(client, frame(_CONTINUATION, 0, 1, line * 16), 4_000)


KINDS: dict[str, Callable[[Client], Awaitable[None]]] = {
    each.__name__: each for each in (headers, body, reading, window, resets, pings, settings, empty, continuation)
}


async def _client(kind: str, asked: Any, trust: ssl.SSLContext, connected: Callable[[], None]) -> None:
    start = time.monotonic()
    reader, writer = await asyncio.open_connection("localhost", asked["port"], ssl=trust, limit=1_000)
    connected()
    await KINDS[kind](Client(reader, writer, asked))
    writer.transport.abort()
    _tell([kind, time.monotonic() - start])


async def _handshake(asked: Any, connected: Callable[[], None]) -> None:
    """Never comes to the end of its TLS handshake."""
    start = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", asked["port"])
    connected()
    writer.write(b"\x16\x03\x01\x02\x00\x01")
    await reader.read()
    writer.transport.abort()
    _tell(["handshake", time.monotonic() - start])


def _tell(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _trust(authority: str, protocol: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    context.set_alpn_protocols([protocol])
    return context


async def _all() -> None:
    asked = json.loads(sys.stdin.readline())
    many, count = sum(asked["kinds"].values()), iter(range(1, 1_000_000))
    http_1, http_2 = (_trust(asked["authority"], protocol) for protocol in ("http/1.1", "h2"))

    def connected() -> None:
        if next(count) == many:
            _tell("ready")

    async with asyncio.TaskGroup() as tasks:
        for kind, number in asked["kinds"].items():
            for _ in range(number):
                if kind == "handshake":
                    tasks.create_task(_handshake(asked, connected))
                else:
                    trust = http_1 if kind in ("headers", "body", "reading") else http_2
                    tasks.create_task(_client(kind, asked, trust, connected))
                await asyncio.sleep(0.002)  # some 500 a second, so that the handshakes themselves are no flood


if __name__ == "__main__":
    logging.disable()  # what asyncio says of connections that were cut off
    asyncio.run(_all())
