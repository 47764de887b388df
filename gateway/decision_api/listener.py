"""The sockets of the decision API. None is open without the configuration's word, and none is at the edge."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gateway.config import Decisions
from gateway.decision_api.connection import CUT, Bounds, Connection
from gateway.listening import Door, mutual_tls, tcp_listener, unix_listener
from gateway.peer import Known, anyone, named, same_uid


async def serve_decisions(application: ASGIApp, settings: Decisions, run: Path) -> None:
    """Answer on the configured sockets until cancelled; the one without a path of its own lies in the folder `run`.

    Raises OSError for a socket that cannot be had.
    """
    bounds = Bounds(settings.max_body_kb * 1024, settings.request_seconds)
    async with asyncio.TaskGroup() as tasks:
        if settings.unix is not None:
            path = settings.unix.path or run / "decisions.sock"
            listener = await asyncio.to_thread(unix_listener, path, settings.unix.group)
            known: Known = same_uid if settings.unix.group is None else anyone
            requests = _Requests(application, bounds, settings.max_connections, known)
            tasks.create_task(requests.serve(listener, None))
        if settings.tcp is not None:
            trust = await asyncio.to_thread(mutual_tls, settings.tcp.tls, "http/1.1")
            requests = _Requests(application, bounds, settings.max_connections, named(settings.tcp.tls.clients))
            tasks.create_task(requests.serve(tcp_listener(settings.tcp.address, settings.tcp.port), trust))


async def serve_unix(application: ASGIApp, path: Path, bounds: Bounds, connections: int) -> None:
    """Answer this user's own processes on a Unix socket until cancelled. Raises OSError."""
    listener = await asyncio.to_thread(unix_listener, path, None)
    await _Requests(application, bounds, connections, same_uid).serve(listener, None)


class _Requests:
    """The connections of one socket."""

    def __init__(self, application: ASGIApp, bounds: Bounds, connections: int, known: Known) -> None:
        self._known = known
        self._bounds = bounds
        self._door = Door(self._connection, connections, CUT.labels("no_handshake").inc)
        self._state = ServerState()
        self._config = uvicorn.Config(
            application,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=60,  # ours comes first
        )
        self._config.load()

    async def serve(self, listener: socket.socket, trust: ssl.SSLContext | None) -> None:
        """Let in until cancelled; then nobody is left."""
        try:
            await self._door.serve(listener, trust)
        finally:
            for connection in [*self._state.connections]:
                connection.transport.abort()

    def _connection(self, ended: Callable[[], None]) -> Connection:
        return Connection(self._config, self._state, self._known, self._bounds, ended)
