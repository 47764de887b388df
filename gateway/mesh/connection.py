"""One connection of another Envoy's: who it is, and how long it may be silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import Counter

from gateway.config import Mesh
from gateway.enforcement import GrpcConnection, Http2, Http2Bounds, Service

CUT = Counter("portcullis_gateway_mesh_cut_total", "Connections of other Envoys cut, by what was wrong", ["why"])
LARGEST: Final = (1 << 20) + (128 << 10)  # bytes of one message: the most that a route's body and headers may be
UNFINISHED: Final = 16 << 20  # bytes of messages that are not whole, on one connection

Source = Callable[[asyncio.BaseTransport], str]  # the name of a peer's access logs, "" for who may not ask
Make = Callable[[GrpcConnection, str], Mapping[str, Service]]


class MeshConnection(GrpcConnection):
    """One connection. Who says nothing is asked whether it is there, and cut where it does not answer: the streams that
    its Envoy held live no longer. `ended` is called once the connection is lost.
    """

    def __init__(
        self, services: Make, source: Source, settings: Mesh, living: set[GrpcConnection], ended: Callable[[], None]
    ) -> None:
        bounds = Http2Bounds(LARGEST, settings.max_streams, UNFINISHED)
        super().__init__(lambda connection: services(connection, self._name), living, Http2(bounds, methods=True))
        self._source = source
        self._settings = settings
        self._ended = ended
        self._name = ""
        self._heard = False  # since it was asked
        self._newest = 0  # stream, when it was asked
        self._idle = 0.0  # seconds without a stream
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who it is."""
        self._name = self._source(transport)
        super().connection_made(transport)
        if self._name:
            self._wait()
        else:
            self._cut("not_named")

    def connection_lost(self, error: Exception | None) -> None:
        """Its place is free."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(error)
        self._ended()

    def data_received(self, data: bytes) -> None:
        """It is there."""
        self._heard = True
        if self._name:
            super().data_received(data)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._settings.ping_seconds, self._look)

    def _look(self) -> None:
        busy = self._http2.living or self._http2.newest != self._newest
        self._idle = 0.0 if busy else self._idle + self._settings.ping_seconds
        if not self._heard:
            self._cut("silent")
        elif self._idle >= self._settings.idle_seconds:
            CUT.labels("idle").inc()
            self.leave()
        else:
            self._heard, self._newest = False, self._http2.newest
            self._http2.ping()
            self.flush()
            self._wait()

    def _cut(self, why: str) -> None:
        CUT.labels(why).inc()
        self.close()
