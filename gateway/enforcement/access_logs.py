"""Access logs over gRPC (`envoy.service.accesslog.v3`): what another Envoy saw becomes telemetry, with no agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage, StreamAccessLogsResponse
from google.protobuf.message import DecodeError
from prometheus_client import Counter

from gateway.enforcement.grpc_connection import UNREADABLE, GrpcConnection
from gateway.enforcement.http2 import INVALID_ARGUMENT, RESOURCE_EXHAUSTED
from telemetry import EventBatch, access_logs

_log = structlog.get_logger()
_TCP = Counter("portcullis_gateway_access_logs_tcp_total", "Entries about TCP connections, which are not kept")
METHOD: Final = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
_LARGEST: Final = 128 * 1024  # bytes of one message: some 300 entries, which take the loop 5 ms
_NOTHING: Final = StreamAccessLogsResponse().SerializeToString()


class AccessLogs:
    """One connection's, of an Envoy that is not ours: `source` is the name under which its entries become events."""

    def __init__(self, publish: Callable[[EventBatch], None], source: str, connection: GrpcConnection) -> None:
        self._publish = publish
        self._source = source
        self._connection = connection

    def message(self, stream: int, content: bytes) -> None:
        """One batch. What cannot be read ends its stream, and Envoy begins another."""
        if len(content) > _LARGEST:
            self._end(stream, RESOURCE_EXHAUSTED, f"more than {_LARGEST} bytes: lower buffer_size_bytes")
            return
        try:
            message = StreamAccessLogsMessage.FromString(content)
            _TCP.inc(len(message.tcp_logs.log_entry))
            if message.http_logs.log_entry:
                self._publish(access_logs(message.http_logs.log_entry, self._source))
        except (DecodeError, ValueError) as error:
            self._end(stream, INVALID_ARGUMENT, str(error))

    def finished(self, stream: int) -> None:
        """Envoy closes its log."""
        self._connection.send(stream, _NOTHING, last=True)

    def over(self, stream: int) -> None:
        """Nothing is kept of a stream."""

    def close(self) -> None:
        """Nor of a connection."""

    def _end(self, stream: int, status: int, why: str) -> None:
        UNREADABLE.inc()
        _log.warning("access logs that cannot be read", source=self._source, error=why)
        self._connection.abort(stream, status, why)
