"""A client of HTTP/3 for tests: aioquic's, one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

DEADLINE = 10.0  # seconds


class Http3(QuicConnectionProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._http = H3Connection(self._quic)
        self._answers: dict[int, tuple[dict[str, str], bytearray, asyncio.Future[None]]] = {}

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer. Raises TimeoutError."""
        stream = self._quic.get_next_available_stream_id()
        whole = asyncio.get_running_loop().create_future()
        told, content = dict[str, str](), bytearray()
        self._answers[stream] = told, content, whole
        head = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": path, **(headers or {})}
        self._http.send_headers(
            stream, [(name.encode(), value.encode()) for name, value in head.items()], end_stream=not body
        )
        if body:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()
        await asyncio.wait_for(whole, DEADLINE)
        return int(told.pop(":status")), told, bytes(content)

    def quic_event_received(self, event: QuicEvent) -> None:
        for heard in self._http.handle_event(event):
            if not isinstance(heard, HeadersReceived | DataReceived):
                continue
            told, content, whole = self._answers[heard.stream_id]
            if isinstance(heard, HeadersReceived):
                told.update((name.decode(), value.decode()) for name, value in heard.headers)
            else:
                content += heard.data
            if heard.stream_ended and not whole.done():
                whole.set_result(None)


@asynccontextmanager
async def http3(port: int, authority: Path) -> AsyncIterator[Http3]:
    """A connection to localhost, whose certificate must verify. Raises ConnectionError and TimeoutError."""
    settings = QuicConfiguration(alpn_protocols=H3_ALPN, cafile=str(authority), server_name="localhost")
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(DEADLINE):
            opening = connect("127.0.0.1", port, configuration=settings, create_protocol=Http3)
            connection = await stack.enter_async_context(opening)
        assert isinstance(connection, Http3)
        yield connection
