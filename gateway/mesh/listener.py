"""The sockets of the mesh. None is open without the configuration's word."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Collection
from pathlib import Path

from gateway.config import Mesh
from gateway.enforcement import GrpcConnection
from gateway.listening import Door, mutual_tls, tcp_listener, unix_listener
from gateway.mesh.connection import CUT, Make, MeshConnection, Source
from gateway.peer import Known, anyone, names, same_uid

_LOCAL = "mesh"  # what access logs from the Unix socket are called; those of a certificate are `mesh:NAME`


async def serve_mesh(services: Make, settings: Mesh, run: Path) -> None:
    """Answer other Envoys on the configured sockets until cancelled; the one without a path of its own lies in the
    folder `run`. `services` makes those of one connection, whose access logs have that name. Raises OSError for a
    socket that cannot be had.
    """
    async with asyncio.TaskGroup() as tasks:
        if settings.unix is not None:
            path = settings.unix.path or run / "mesh.sock"
            listener = await asyncio.to_thread(unix_listener, path, settings.unix.group)
            peers = _Peers(services, _local(same_uid if settings.unix.group is None else anyone), settings)
            tasks.create_task(peers.serve(listener, None))
        if settings.tcp is not None:
            trust = await asyncio.to_thread(mutual_tls, settings.tcp.tls, "h2")
            peers = _Peers(services, _certified(settings.tcp.tls.clients), settings)
            tasks.create_task(peers.serve(tcp_listener(settings.tcp.address, settings.tcp.port), trust))


class _Peers:
    """The connections of one socket."""

    def __init__(self, services: Make, source: Source, settings: Mesh) -> None:
        self._services = services
        self._source = source
        self._settings = settings
        self._living: set[GrpcConnection] = set()

    async def serve(self, listener: socket.socket, trust: ssl.SSLContext | None) -> None:
        """Let in until cancelled; then nobody is left, and no stream."""
        try:
            failed = CUT.labels("no_handshake").inc
            await Door(self._connection, self._settings.max_connections, failed).serve(listener, trust)
        finally:
            for connection in tuple(self._living):
                connection.close()

    def _connection(self, ended: Callable[[], None]) -> MeshConnection:
        return MeshConnection(self._services, self._source, self._settings, self._living, ended)


def _local(known: Known) -> Source:
    return lambda transport: _LOCAL if known(transport) else ""


def _certified(clients: Collection[str]) -> Source:
    """By the first of a certificate's names that may ask."""

    def source(transport: asyncio.BaseTransport) -> str:
        found = next((name for name in names(transport) if name in clients), "")
        return f"{_LOCAL}:{found}" if found else ""

    return source
