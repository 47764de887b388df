"""How an agent reaches the gateway: over its Unix socket on the same host, or over TLS, in which both sides prove
themselves, and through the bank's proxy if there is one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from pathlib import Path
from typing import Any, Final

from picows import WSAutoPingStrategy, WSHandshakeError, WSUpgradeRequest, WSUpgradeResponse, ws_connect

from defense_lines.agent.agent import Connect
from defense_lines.agent.protocol import MAX_ORDERS, PATH, SUBPROTOCOL
from defense_lines.agent.websocket import HANDSHAKE_SECONDS, Connection, Messages

SILENT_SECONDS: Final = 5.0  # after which a gateway is asked whether it is there; after as long again it is lost
_HEADERS: Final = {"Sec-WebSocket-Protocol": SUBPROTOCOL}


def over_unix(path: Path) -> Connect:
    """To a gateway of this host, which must run as our own user or as root."""

    async def connect(messages: Messages) -> None:
        loop = asyncio.get_running_loop()
        connection = Connection(_heard_by(messages), MAX_ORDERS, SILENT_SECONDS, ("localhost", PATH, _HEADERS))
        transport, _ = await loop.create_unix_connection(lambda: connection, str(path))
        if peer_uid(transport) not in (os.geteuid(), 0):
            transport.abort()
            raise PermissionError(f"{path}: the other end belongs to another user")
        await connection.wait_until_handshake_complete()

    return connect


def over_tls(url: str, trust: ssl.SSLContext, proxy: str | None = None) -> Connect:
    """To wss://HOST:PORT. `proxy` is http://HOST:PORT, or https or socks5."""

    async def connect(messages: Messages) -> None:
        await ws_connect(
            _heard_by(messages),
            url + PATH,
            ssl_context=trust,
            proxy=proxy,
            websocket_handshake_timeout=HANDSHAKE_SECONDS,
            enable_auto_ping=True,
            auto_ping_idle_timeout=SILENT_SECONDS,
            auto_ping_reply_timeout=SILENT_SECONDS,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            max_frame_size=MAX_ORDERS,
            extra_headers=_HEADERS,
            max_redirects=0,
            use_aiofastnet=False,
        )

    return connect


def proving(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with our certificate, to a gateway of this authority. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context


def peer_uid(transport: asyncio.BaseTransport) -> int:
    """User id of the process at the other end of a Unix socket, as the kernel recorded it (SO_PEERCRED)."""
    end = transport.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def _heard_by(messages: Messages) -> Any:
    def agreed(_: WSUpgradeRequest, response: WSUpgradeResponse) -> Messages:
        if response.headers.get("sec-websocket-protocol") != SUBPROTOCOL:
            raise WSHandshakeError("the other end does not speak our protocol")
        return messages

    return agreed
