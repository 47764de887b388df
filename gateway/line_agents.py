"""The ways in for agents: the Unix socket for the one of this host, and a port for those of others."""

from __future__ import annotations

import asyncio
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


async def accept_agents(settings: Agents | None, hub: Hub, ledger: Ledger, socket: Path) -> None:
    """Let agents in until cancelled: our own user's and root's on `socket`, others by their certificates. Raises
    OSError for a socket that cannot be had.
    """
    followed = Followed(await asyncio.to_thread(fingerprint, ledger.places.public_key), lambda: ledger.last_order)
    lines = RemoteLines(followed, hub.attach, hub.detach)
    try:
        async with asyncio.TaskGroup() as tasks:
            local = await asyncio.to_thread(unix_listener, socket, None)
            tasks.create_task(_door(lines, _local, _LOCAL_CONNECTIONS).serve(local, None))
            if settings is not None:
                trust = await asyncio.to_thread(mutual_tls, settings.tls, _HTTP)
                door = _door(lines, _certified(settings.tls.clients), settings.max_connections)
                tasks.create_task(door.serve(tcp_listener(settings.address, settings.port), trust))
    finally:
        lines.close()


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
