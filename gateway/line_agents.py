"""The ways in for agents: the Unix socket for the one of this host, and a port for those of others."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from prometheus_client import Counter

from defense_lines import Hub, Ledger, public_key
from defense_lines.agent.protocol import PATH
from defense_lines.lines.remote import Followed, Identify, RemoteLines
from gateway.config import Agents
from gateway.listening import Door, mutual_tls, tcp_listener, unix_listener
from gateway.peer import names, same_uid

LOCAL = "nftables"  # the name of the line on this host: nobody takes another's place by what he says of himself
_LOCAL_CONNECTIONS = 16
_HTTP = "http/1.1"  # ALPN; WebSocket begins with it

_failed = Counter("portcullis_gateway_agents_handshake_failures_total", "Connections to the agents' port without TLS")


async def accept_agents(settings: Agents | None, hub: Hub, ledger: Ledger, path: Path) -> None:
    """Let agents in until cancelled: our own user's and root's on a Unix socket, others by their certificates. Raises
    OSError for a socket that cannot be had.
    """
    followed = Followed(await asyncio.to_thread(fingerprint, ledger.places.public_key), lambda: ledger.last_order)
    lines = RemoteLines(followed, hub.attach, hub.detach)
    async with AsyncExitStack() as stack:
        stack.callback(lines.close)
        trust = await asyncio.to_thread(mutual_tls, settings.tls, _HTTP) if settings is not None else None
        doors: list[tuple[Door, socket.socket, ssl.SSLContext | None]] = [
            (_door(lines, _local, _LOCAL_CONNECTIONS), unix_listener(path, None), None)
        ]
        if settings is not None:
            door = _door(lines, _certified(settings.tls.clients), settings.max_connections)
            doors.append((door, tcp_listener(settings.address, settings.port), trust))
        for _, listener, _ in doors:
            stack.enter_context(listener)  # ours, should its task end before it begins
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        for door, listener, context in doors:
            tasks.create_task(door.serve(listener, context))


def fingerprint(key: Path) -> str:
    """What agents know a ledger by: 128 bits of the SHA-256 of its public key. Raises OSError, ValueError."""
    raw = public_key(key).public_bytes(Encoding.Raw, PublicFormat.Raw)
    return sha256(raw).hexdigest()[:32]


def _door(lines: RemoteLines, identify: Identify, connections: int) -> Door:
    return Door(lambda ended: lines.connection(identify, ended), connections, _failed.inc)


def _local(transport: asyncio.BaseTransport, path: str) -> str:
    return LOCAL if path == PATH and same_uid(transport) else ""


def _certified(clients: tuple[str, ...]) -> Identify:
    """By the first of a certificate's names that is a line's."""

    def identify(transport: asyncio.BaseTransport, path: str) -> str:
        return next((name for name in names(transport) if name in clients), "") if path == PATH else ""

    return identify
