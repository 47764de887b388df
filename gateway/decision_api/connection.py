"""One client's connection: who it is, how long it may take, and how much it may send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.peer import Known

_HEAD = 64 * 1024  # bytes beside the body
CUT = Counter("portcullis_gateway_decision_api_cut_total", "Connections cut, by what was wrong with them", ["why"])


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one request: bytes of its body, seconds from its first byte to its answer's last, and between two requests."""

    body: int
    seconds: float


class Connection(HttpToolsProtocol):
    """HTTP within bounds. The application finds in `state.known` whether the client is one that may ask."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, known: Known, bounds: Bounds, ended: Callable[[], None]
    ) -> None:
        super().__init__(config, state, {})
        self._is_known = known
        self._bounds = bounds
        self._ended = ended
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look who it is."""
        super().connection_made(transport)
        self.app_state = {"known": self._is_known(transport)}
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its place is free."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)
        self._ended()

    def data_received(self, data: bytes) -> None:
        """Read on, or cut what sends too much."""
        self._received += len(data)
        super().data_received(data)
        if self._received > self._bounds.body + _HEAD:
            self._cut("too_much")

    def on_message_begin(self) -> None:
        """A request's time begins."""
        super().on_message_begin()
        self._wait()

    def on_message_complete(self) -> None:
        """A request is whole."""
        super().on_message_complete()
        self._received = 0

    def on_response_complete(self) -> None:
        """It was answered: the next may come."""
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self._bounds.seconds, self._cut, "too_slow")

    def _cut(self, why: str) -> None:
        if not self.transport.is_closing():
            CUT.labels(why).inc()
        self.transport.abort()
