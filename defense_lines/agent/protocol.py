"""What gateway and agent say to each other: binary WebSocket messages (RFC 6455), each one msgpack array whose first
item names it. Neither end asks before it was answered, but for an audit, which may take long.

The gateway begins with Welcome, the agent answers Hello. Then Orders are answered by Receipts, OutOfSequence or Unable,
and an Audit by InStep, Enforced or Unlisted; each in the order in which its kind was asked.
"""

from __future__ import annotations

from typing import Final

import msgspec

from defense_lines.line import Note
from policy import TargetKind

SUBPROTOCOL: Final = "portcullis.line.v1"  # RFC 6455, section 1.9; another version has another name
PATH: Final = "/lines/v1"
MAX_ORDERS: Final = 8 * 1024 * 1024  # bytes of one message to the agent
MAX_ANSWER: Final = 64 * 1024 * 1024  # bytes of one message from it: every id that it enforces
MAX_HELLO: Final = 4096  # bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """The gateway's first message."""

    line: str  # the name that the gateway knows the line by
    ledger: str  # whose orders these are: the fingerprint of the ledger's public key
    last: int  # the ledger's newest entry that ordered anything
    time: float  # Unix seconds by the gateway's clock


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """The agent's answer, and its first message."""

    targets: tuple[TargetKind, ...]  # kinds that it can enforce
    room: int | None  # blocks that it can hold; None: as many as there will be
    cursor: int  # it was told everything up to this entry of the ledger
    time: float  # Unix seconds by its own clock


class WireOrder(msgspec.Struct, frozen=True, array_like=True):
    """One order, as far as a firewall needs to know it: not why, nor by whom."""

    seq: int
    id: str  # block id
    target: str | None = None  # address or range; None: stop enforcing
    expires: float = 0.0  # Unix seconds by the gateway's clock


class Orders(msgspec.Struct, frozen=True, array_like=True, tag="orders"):
    """See `defense_lines.line.Orders`."""

    after: int | None
    upto: int
    head: str
    time: float
    orders: tuple[WireOrder, ...]


class Receipts(msgspec.Struct, frozen=True, array_like=True, tag="receipts"):
    """Answer to Orders; see `defense_lines.line.Receipts`."""

    time: float
    ms: float
    head: str
    notes: tuple[Note, ...] = ()


class OutOfSequence(msgspec.Struct, frozen=True, array_like=True, tag="out_of_sequence"):
    """Answer to Orders of which nothing was done: they do not follow on what the agent was told."""

    cursor: int  # it was told everything up to this entry


class Audit(msgspec.Struct, frozen=True, array_like=True, tag="audit"):
    """Say what is enforced, unless it is what should be."""

    count: int  # of the digest
    sum: int
    time: float  # Unix seconds by the gateway's clock; what lives no longer than that is left out of the digest


class InStep(msgspec.Struct, frozen=True, array_like=True, tag="in_step"):
    """Answer to Audit: what is enforced has that digest."""

    repaired: int = 0  # networks that the kernel had lost, kept too long or held for another time, since last told
    foreign: int = 0  # elements in our table that are not ours


class Enforced(msgspec.Struct, frozen=True, array_like=True, tag="enforced"):
    """Answer to Audit: it has not, and these are the blocks."""

    blocks: tuple[str, ...]  # ids
    repaired: int = 0
    foreign: int = 0


class Unable(msgspec.Struct, frozen=True, array_like=True, tag="unable"):
    """Answer to Orders that could not be written down; the agent was not told them."""

    reason: str  # in words


class Unlisted(msgspec.Struct, frozen=True, array_like=True, tag="unlisted"):
    """Answer to Audit where the firewall did not say what it enforces."""

    reason: str  # in words


Order = Welcome | Orders | Audit  # what an agent is told
Answer = Hello | Receipts | OutOfSequence | Unable | InStep | Enforced | Unlisted  # what it answers

ENCODER: Final = msgspec.msgpack.Encoder()
ORDER: Final = msgspec.msgpack.Decoder(Order)
ANSWER: Final = msgspec.msgpack.Decoder(Answer)
