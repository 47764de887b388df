"""Access logs over gRPC (`envoy.service.accesslog.v3`): what the edge saw becomes telemetry, with no agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage, StreamAccessLogsResponse

from telemetry import EventBatch, access_logs


class AccessLogs:
    """The servicer: each message's entries as one batch."""

    def __init__(self, publish: Callable[[EventBatch], None]) -> None:
        self._publish = publish

    async def StreamAccessLogs(self, messages: Any, context: Any) -> StreamAccessLogsResponse:  # noqa: N802
        """Read until Envoy goes away; it expects no answer before that."""
        async for message in messages:
            self._take(message)
        return StreamAccessLogsResponse()

    def _take(self, message: StreamAccessLogsMessage) -> None:
        if message.http_logs.log_entry:
            self._publish(access_logs(message.http_logs.log_entry))
