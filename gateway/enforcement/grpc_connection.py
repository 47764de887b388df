"""gRPC over a connection of an Envoy's: streams go to the services that their methods name.

It speaks HTTP/2 by itself. With grpc.aio each stream is 68 objects that the garbage collector walks, and each cut
leaves 70 more in cycles: ten thousand streams stop the gateway for half a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog
from prometheus_client import Counter

from gateway.enforcement.http2 import UNIMPLEMENTED, Begun, Event, Finished, Http2, Message
from gateway.enforcement.http2_frames import NO_ERROR, Violation

_log = structlog.get_logger()
_CLOSED = Counter("portcullis_gateway_grpc_closed_total", "Connections closed because they broke HTTP/2's rules")
_UNKNOWN = Counter("portcullis_gateway_grpc_unknown_total", "Streams refused because nobody serves their method")
UNREADABLE: Final = Counter("portcullis_gateway_grpc_unread_total", "Streams ended by a message that cannot be read")

ANY: Final = ""  # the method under which a service has every stream, where methods are not read


class Service(Protocol):
    """One gRPC method on one connection. What it sends, it sends on the connection that it was made for."""

    def message(self, stream: int, content: bytes) -> None:
        """A message on a stream."""

    def finished(self, stream: int) -> None:
        """The peer says no more on a stream, which still has to be ended."""

    def over(self, stream: int) -> None:
        """The peer ended a stream: nothing can be said on it any more."""

    def close(self) -> None:
        """The connection is gone, and with it every stream."""


Services = Callable[["GrpcConnection"], Mapping[str, Service]]


class GrpcConnection(asyncio.Protocol):
    """One connection. `services` makes what is served on it, by the methods' paths; `living` are all connections, for
    who must end them.
    """

    def __init__(self, services: Services, living: set[GrpcConnection], http2: Http2 | None = None) -> None:
        self._living = living
        self._make = services
        self._services: Mapping[str, Service] = {}
        self._http2 = http2 or Http2()
        self._only: Service | None = None
        self._of: dict[int, Service] = {}  # streams whose methods were read
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        self._living.add(self)
        self._services = self._make(self)
        self._only = self._services.get(ANY)
        self.flush()

    def close(self) -> None:
        """End the connection, and every stream on it, now."""
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The peer is gone, and with it every stream."""
        self._living.discard(self)
        for service in self._services.values():
            service.close()
        self._services, self._only = {}, None  # they and we hold each other
        self._make = _nothing
        self._of.clear()

    def pause_writing(self) -> None:
        """Who does not read is not read either."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """What the peer says, in order."""
        try:
            for event in self._http2.receive(data):
                self._happened(event)
        except Violation as error:
            _CLOSED.inc()
            _log.error("a peer broke the rules of HTTP/2, closed", error=str(error))
            self._transport.write(self._http2.goodbye())
            self._transport.close()
        else:
            self.flush()

    def send(self, stream: int, content: bytes, last: bool = False) -> bool:
        """One message, once all is written; `last` ends the stream well. Whether the stream goes on: a message that is
        too large ends it too.
        """
        goes_on = self._http2.send(stream, content, last)
        if not goes_on:
            self._of.pop(stream, None)
        return goes_on

    def abort(self, stream: int, status: int, reason: str) -> None:
        """End a stream, once all is written, with a gRPC status."""
        self._http2.abort(stream, status, reason)
        self._of.pop(stream, None)

    def leave(self) -> None:
        """Take no more streams; for a connection on which none lives."""
        self._transport.write(self._http2.goodbye(NO_ERROR))
        self._transport.close()

    def flush(self) -> None:
        """Write what there is, now: uvloop itself writes at once what one turn of the loop has to say."""
        if data := self._http2.taken():
            self._transport.write(data)

    def _happened(self, event: Event) -> None:
        if isinstance(event, Begun):
            self._begin(event)
        elif (service := self._of.get(event.stream, self._only)) is None:
            return
        elif isinstance(event, Message):
            service.message(event.stream, event.content)
        elif isinstance(event, Finished):
            service.finished(event.stream)
        else:
            self._of.pop(event.stream, None)
            service.over(event.stream)

    def _begin(self, begun: Begun) -> None:
        service = self._services.get(begun.path)
        if service is None:
            _UNKNOWN.inc()
            self._http2.abort(begun.stream, UNIMPLEMENTED, "no such method here")
        else:
            self._of[begun.stream] = service


def _nothing(_: GrpcConnection) -> Mapping[str, Service]:
    return {}
