"""The sockets of the decision API. None is open without the configuration's word, and none is at the edge."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gateway.config import Decisions, DecisionsTcp, DecisionsTls
from gateway.decision_api.connection import CUT, Bounds, Connection, Known, named, same_uid

_log = structlog.get_logger()
_BACKLOG = 128
_HANDSHAKE = 5.0  # seconds
_OUT_OF_FILES = 0.1  # seconds before the next try


async def serve_decisions(application: ASGIApp, settings: Decisions, run: Path) -> None:
    """Answer on the configured sockets until cancelled; the one without a path of its own lies in the folder `run`.

    Raises OSError for a socket that cannot be had.
    """
    bounds = Bounds(settings.max_body_kb * 1024, settings.request_seconds)
    async with asyncio.TaskGroup() as tasks:
        if settings.unix is not None:
            path = settings.unix.path or run / "decisions.sock"
            listener = await asyncio.to_thread(_unix, path, settings.unix.group)
            known: Known = same_uid if settings.unix.group is None else _anyone
            door = _Door(application, bounds, settings.max_connections, known)
            tasks.create_task(door.serve(listener, None))
        if settings.tcp is not None:
            trust = await asyncio.to_thread(_trust, settings.tcp.tls)
            door = _Door(application, bounds, settings.max_connections, named(settings.tcp.tls.clients))
            tasks.create_task(door.serve(_tcp(settings.tcp), trust))


async def serve_unix(application: ASGIApp, path: Path, bounds: Bounds, connections: int) -> None:
    """Answer this user's own processes on a Unix socket until cancelled. Raises OSError."""
    listener = await asyncio.to_thread(_unix, path, None)
    await _Door(application, bounds, connections, same_uid).serve(listener, None)


class _Door:
    """Lets so many connections in at once; the others wait in the kernel's queue."""

    def __init__(self, application: ASGIApp, bounds: Bounds, connections: int, known: Known) -> None:
        self._known = known
        self._bounds = bounds
        self._free = asyncio.BoundedSemaphore(connections)
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
        with listener, self._left():
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._free.acquire()
                    tasks.create_task(self._greet(await _accepted(listener), trust))

    async def _greet(self, client: socket.socket, trust: ssl.SSLContext | None) -> None:
        connection = Connection(self._config, self._state, self._known, self._bounds, self._free.release)
        enter = asyncio.get_running_loop().connect_accepted_socket
        try:
            await enter(lambda: connection, client, ssl=trust, ssl_handshake_timeout=_HANDSHAKE if trust else None)
        except (OSError, EOFError):  # whoever it was never came in
            CUT.labels("no_handshake").inc()
            self._free.release()

    @contextlib.contextmanager
    def _left(self) -> Iterator[None]:
        try:
            yield
        finally:
            for connection in [*self._state.connections]:
                connection.transport.abort()


async def _accepted(listener: socket.socket) -> socket.socket:
    while True:
        try:
            return (await asyncio.get_running_loop().sock_accept(listener))[0]
        except OSError as error:  # too many files are open, or the client was gone at once
            _log.warning("could not let a client in", error=str(error))
            await asyncio.sleep(_OUT_OF_FILES)


def _anyone(_: asyncio.BaseTransport) -> bool:
    return True  # the file's mode has decided


def _unix(path: Path, group: str | None) -> socket.socket:
    if path.is_socket():
        path.unlink()  # a killed predecessor left it
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listener.fileno(), 0o600)  # Linux gives the file this mode: there is no moment with another one
    _bound(listener, str(path))
    if group is not None:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(0o660)
    return listener


def _tcp(settings: DecisionsTcp) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in settings.address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(listener, (settings.address, settings.port))


def _bound(listener: socket.socket, address: str | tuple[str, int]) -> socket.socket:
    try:
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, str(address)) from error
    return listener


def _trust(tls: DecisionsTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tls.client_ca)
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["http/1.1"])
    return context
