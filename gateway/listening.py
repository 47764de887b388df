"""Sockets on which others than our own edge may connect: a Unix socket for a group, a port with TLS on both sides."""

from __future__ import annotations

import asyncio
import grp
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.config import MutualTls

_log = structlog.get_logger()
_BACKLOG = 128
_HANDSHAKE = 5.0  # seconds
_OUT_OF_FILES = 0.1  # seconds before the next try


class Door:
    """Lets so many connections in at once; the others wait in the kernel's queue."""

    def __init__(
        self,
        protocol: Callable[[Callable[[], None]], asyncio.Protocol],
        connections: int,
        failed: Callable[[], None],
    ) -> None:
        """`protocol` makes the one for a connection, and is given what must be called when that is lost; `failed` hears
        of each that never came in.
        """
        self._protocol = protocol
        self._free = asyncio.BoundedSemaphore(connections)
        self._failed = failed

    async def serve(self, listener: socket.socket, trust: ssl.SSLContext | None) -> None:
        """Let in until cancelled."""
        with listener:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._free.acquire()
                    tasks.create_task(self._greet(await _accepted(listener), trust))

    async def _greet(self, client: socket.socket, trust: ssl.SSLContext | None) -> None:
        protocol = self._protocol(self._free.release)
        enter = asyncio.get_running_loop().connect_accepted_socket
        try:
            await enter(lambda: protocol, client, ssl=trust, ssl_handshake_timeout=_HANDSHAKE if trust else None)
        except (OSError, EOFError):  # whoever it was never came in
            self._failed()
            self._free.release()


def unix_listener(path: Path, group: str | None) -> socket.socket:
    """A Unix socket for this uid and root, or for a group's members too. Raises OSError, and KeyError for no group."""
    if path.is_socket():
        path.unlink()  # a killed predecessor left it
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listener.fileno(), 0o600)  # Linux gives the file this mode: there is no moment with another one
    _bound(listener, str(path))
    if group is not None:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(0o660)
    return listener


def tcp_listener(address: str, port: int) -> socket.socket:
    """A port at an IPv4 or IPv6 address. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Named, so that asyncio knows it for TCP and sends what there is: else an answer in two parts waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(listener, (address, port))


def mutual_tls(tls: MutualTls, protocol: str) -> ssl.SSLContext:
    """TLS 1.2 or later, in which both sides prove themselves, for a protocol by its ALPN name. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tls.client_ca)
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols([protocol])
    return context


async def _accepted(listener: socket.socket) -> socket.socket:
    while True:
        try:
            return (await asyncio.get_running_loop().sock_accept(listener))[0]
        except OSError as error:  # too many files are open, or the client was gone at once
            _log.warning("could not let a client in", error=str(error))
            await asyncio.sleep(_OUT_OF_FILES)


def _bound(listener: socket.socket, address: str | tuple[str, int]) -> socket.socket:
    try:
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, str(address)) from error
    return listener
