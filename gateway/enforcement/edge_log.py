"""What became of requests, as the edge's module says it on a Unix socket, becomes telemetry with no agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter

from telemetry import EDGE_LOG_HEAD as HEAD
from telemetry import EventBatch, MalformedBatch, batch_length, edge_log

_DROPPED = Counter("portcullis_gateway_edge_log_dropped_total", "Records of requests that the edge had no room for")
_CLOSED = Counter("portcullis_gateway_edge_log_closed_total", "Connections of the edge's log that sent something else")
_log = structlog.get_logger()


class EdgeLog(asyncio.Protocol):
    """One connection of an Envoy."""

    def __init__(self, publish: Callable[[EventBatch], None]) -> None:
        self._publish = publish
        self._data = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Publish what is whole."""
        self._data += data
        try:
            while len(self._data) >= HEAD and len(self._data) >= (length := batch_length(self._data)):
                self._take(bytes(self._data[:length]))
                del self._data[:length]
        except MalformedBatch as error:
            _CLOSED.inc()
            _log.error("not the edge's log, closed", error=str(error))
            self._transport.close()

    def _take(self, frame: bytes) -> None:
        batch, dropped = edge_log(frame)
        if dropped:
            _DROPPED.inc(dropped)
            _log.warning("the edge dropped records of requests", dropped=dropped)
        if len(batch):
            self._publish(batch)


async def serve_edge_log(publish: Callable[[EventBatch], None], socket: Path) -> None:
    """Read on a Unix socket until cancelled."""
    server = await asyncio.get_running_loop().create_unix_server(lambda: EdgeLog(publish), str(socket), backlog=64)
    async with server:
        await server.serve_forever()
