"""What the gateway and a line's agent say to each other over `lines.sock`: msgpack, one message a frame.

The agent introduces itself once with Hello; then the gateway sends orders, each with a request number, and the agent
answers each with the same number, in any order.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import msgspec

from defense_lines.line import Receipt
from policy import BlockPolicy, TargetKind

VERSION = 1  # of this protocol; the two ends are of one release, so another version is refused
MAX_ORDER = 8 * 1024 * 1024  # bytes of one frame to the agent
MAX_ANSWER = 64 * 1024 * 1024  # bytes of one frame from it: every active id
MAX_BATCH = 250  # blocks or ids in one order; one transaction, which must fit the send buffer of a root of a namespace


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The agent's first message."""

    name: str
    targets: tuple[TargetKind, ...]
    version: int = VERSION


class Apply(msgspec.Struct, frozen=True, tag="apply"):
    """Enforce these."""

    request: int
    blocks: tuple[BlockPolicy, ...]
    head: str  # the ledger's, echoed in each receipt


class Revoke(msgspec.Struct, frozen=True, tag="revoke"):
    """Enforce these no longer."""

    request: int
    blocks: tuple[str, ...]
    head: str


class Active(msgspec.Struct, frozen=True, tag="active"):
    """Say what is enforced at this moment."""

    request: int


class Receipts(msgspec.Struct, frozen=True, tag="receipts"):
    """Answer to Apply and Revoke: one receipt for each block, in order."""

    request: int
    receipts: tuple[Receipt, ...]


class Enforced(msgspec.Struct, frozen=True, tag="enforced"):
    """Answer to Active."""

    request: int
    blocks: tuple[str, ...]


class Unable(msgspec.Struct, frozen=True, tag="unable"):
    """Answer to Active where the kernel did not say."""

    request: int
    reason: str


OrderFrame = Apply | Revoke | Active
Answer = Receipts | Enforced | Unable

HELLO = msgspec.msgpack.Decoder(Hello)
ORDER = msgspec.msgpack.Decoder(OrderFrame)
ANSWER = msgspec.msgpack.Decoder(Answer)


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """User id of the process at the other end of a Unix socket, as the kernel recorded it (SO_PEERCRED)."""
    end = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)
