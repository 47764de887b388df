"""What the gateway tells its judges: one change of state an operation, numbered, in a frame of its own."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from defense_lines import Revocation
from gateway.agents import Agent
from gateway.devices import Posture
from gateway.sessions import Cut
from gateway.workers.wire import Bundles, Key, Signing
from policy import BlockPolicy

HEAD: Final = struct.Struct(">IQ")  # length of the operation that follows, and its number
LARGEST: Final = 256 << 20  # bytes of an operation
DataPath = tuple[str, ...]


class _Operation(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One change."""


class Begin(_Operation, frozen=True):
    """The first of all: what a judge is made from. What follows, until `Complete`, is the state as it is now."""

    config: bytes  # JSON, without secrets
    policy: Prepare
    secret: bytes  # of nonces
    born: float  # Unix seconds: since when the gateway remembers proofs


class Complete(_Operation, frozen=True):
    """That was the state: whoever has all of it says so."""


class Live(_Operation, frozen=True):
    """From here on each operation is with you before it counts: answer."""


class RoutesChanging(_Operation, frozen=True):
    """The edge is about to change to the routes of this configuration; what is told as in `Begin`."""

    config: bytes


class RoutesChanged(_Operation, frozen=True):
    """The edge has the routes of this configuration: those that were coming, or the same as before."""

    config: bytes


class Enforced(_Operation, frozen=True):
    """Blocks that stand."""

    blocks: tuple[BlockPolicy, ...]


class Lifted(_Operation, frozen=True):
    """Blocks that stand no more, by id."""

    blocks: tuple[str, ...]


class Revoked(_Operation, frozen=True):
    """Revocations that stand."""

    revocations: tuple[Revocation, ...]


class AgentsStand(_Operation, frozen=True):
    """Agents as the registry has them."""

    agents: tuple[Agent, ...]


class PosturesLearnt(_Operation, frozen=True):
    """What was said of devices."""

    known: tuple[tuple[str, Posture], ...]


class DataPut(_Operation, frozen=True):
    """A live value was written."""

    path: DataPath
    value: str  # JSON


class DataRemoved(_Operation, frozen=True):
    """Live values were taken away."""

    path: DataPath


class DataPatched(_Operation, frozen=True):
    """A JSON patch was applied."""

    operations: str  # JSON


class DataLive(_Operation, frozen=True):
    """All that is laid over the policy's own document: where, the value (None hides what the document has there), and
    whether an object stays there though it is empty.
    """

    live: tuple[tuple[DataPath, str | None, bool], ...]


class IssuerKeys(_Operation, frozen=True):
    """An issuer's keys, or why there are none."""

    issuer: str
    keys: tuple[Key, ...]
    missing: str


class Trusted(_Operation, frozen=True):
    """What certificates and JWT-SVIDs stand on."""

    bundles: Bundles
    vouching: Bundles | None  # by number, as text


class Ring(_Operation, frozen=True):
    """The keys that sign transaction tokens."""

    keys: tuple[Signing, ...]


class KeptCut(msgspec.Struct, frozen=True, array_like=True):
    """A cut that callers are told of, and the names under which they come back."""

    digests: tuple[bytes, ...]  # of credentials
    actors: tuple[str, ...]
    until: float  # Unix seconds
    cut: Cut


class CutsKept(_Operation, frozen=True):
    """Cuts that callers are told of."""

    cuts: tuple[KeptCut, ...]


class Prepare(_Operation, frozen=True):
    """Compile a revision and say when it is ready; it is not live yet."""

    revision: str
    file: str  # in the folder of sockets: the bundle, packed


class Activate(_Operation, frozen=True):
    """A revision that was prepared is live."""

    revision: str


Operation = (
    Begin
    | Complete
    | Live
    | RoutesChanging
    | RoutesChanged
    | Enforced
    | Lifted
    | Revoked
    | AgentsStand
    | PosturesLearnt
    | DataPut
    | DataRemoved
    | DataPatched
    | DataLive
    | IssuerKeys
    | Trusted
    | Ring
    | CutsKept
    | Prepare
    | Activate
)
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Operation]] = msgspec.msgpack.Decoder(Operation)


class BadOperation(ValueError):
    """What came is no operation of ours, or one cannot be told."""


def framed(number: int, operation: Operation) -> bytes:
    """An operation on its way. Raises BadOperation."""
    try:
        body = _ENCODER.encode(operation)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadOperation(f"{type(operation).__name__}: {error}") from error
    if len(body) > LARGEST:
        raise BadOperation(f"{type(operation).__name__} of {len(body)} bytes")
    return HEAD.pack(len(body), number) + body


def read(body: bytes | memoryview) -> Operation:
    """The operation in a frame. Raises BadOperation."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadOperation(str(error)) from error
