"""Serves the admin API on a Unix socket that only this uid and root may use, and the probes on a local port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog
import uvicorn
from prometheus_client import Counter
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from console.api import admin_api, probes
from console.operations import Operations
from console.orders import PEER

REFUSED_PEERS = Counter("portcullis_console_refused_peers_total", "Admin connections from a uid that may not ask")
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))
_UNSET = 2**32 - 1
_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def serving(operations: Operations, path: Path, metrics_port: int | None = None) -> AsyncIterator[None]:
    """Serve the admin API on the Unix socket `path` (0600, in a folder of 0700) while the block runs.

    With `metrics_port`, the probes are on 127.0.0.1 too. Raises OSError if a socket cannot be had.
    """
    listeners = [(_listen(path), _Server(_settings(admin_api(operations), PeerProtocol)))]
    if metrics_port is not None:
        listeners.append((_listen_locally(metrics_port), _Server(_settings(probes(operations), HttpToolsProtocol))))
    async with asyncio.TaskGroup() as tasks:
        for listener, server in listeners:
            tasks.create_task(server.serve(sockets=[listener]))
        for _, server in listeners:
            await server.up.wait()
        try:
            yield
        finally:
            for _, server in listeners:
                server.should_exit = True


class PeerProtocol(HttpToolsProtocol):
    """HTTP from a peer whose uid the kernel tells; anyone but this uid and root is turned away."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let in or turn away."""
        super().connection_made(transport)
        uid = peer_uid(transport)
        self.client = (PEER, login_uid(transport, uid))
        if uid not in (0, os.geteuid()):
            REFUSED_PEERS.inc()
            _log.warning("admin connection refused", uid=uid)
            transport.write(_FORBIDDEN)
            transport.close()


def peer_uid(transport: asyncio.BaseTransport) -> int:
    """The uid of the process at the other end of a Unix socket (SO_PEERCRED)."""
    peer = transport.get_extra_info("socket")
    return int(_CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1])


def login_uid(transport: asyncio.BaseTransport, otherwise: int) -> int:
    """The uid that the process at the other end logged in with, which sudo does not change (the kernel's audit login
    uid, pam_loginuid(8)); `otherwise` where none is set.
    """
    peer = transport.get_extra_info("socket")
    pid = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
    try:
        uid = int(Path(f"/proc/{pid}/loginuid").read_text())
    except (OSError, ValueError):
        return otherwise
    return otherwise if uid == _UNSET else uid


class _Server(uvicorn.Server):
    """A server inside a process that has its own signal handling; `up` is set when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _settings(application: Starlette, protocol: type[asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=256,
        timeout_graceful_shutdown=1,
    )


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)  # before the socket exists, so that there is no moment at which others reach it
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener


def _listen_locally(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, f"127.0.0.1:{port}") from error
    return listener
