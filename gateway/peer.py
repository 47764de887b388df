"""Who is at the other end of a connection: a process of this host, or the holder of a certificate."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Collection
from typing import Any

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))

Known = Callable[[asyncio.BaseTransport], bool]


def same_uid(transport: asyncio.BaseTransport) -> bool:
    """Whether the process at the other end of a Unix socket runs as this uid or root (SO_PEERCRED)."""
    peer = transport.get_extra_info("socket")
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(raw)[1] in (0, os.geteuid())


def anyone(_: asyncio.BaseTransport) -> bool:
    """Whoever a socket's file lets in: its mode has decided."""
    return True


def names(transport: asyncio.BaseTransport) -> list[str]:
    """The DNS names and URIs of a client's certificate, in its order."""
    certificate: Any = transport.get_extra_info("peercert") or {}
    return [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI")]


def named(clients: Collection[str]) -> Known:
    """Whether a client's certificate has one of these DNS names or URIs; any will do where there are none."""

    def known(transport: asyncio.BaseTransport) -> bool:
        shown = bool(transport.get_extra_info("peercert"))
        return shown and (not clients or any(name in clients for name in names(transport)))

    return known
