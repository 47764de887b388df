"""A record is one thing decided about blocks, risks, sessions, proofs or policy data, as it stands in the history."""

from __future__ import annotations

from typing import Any

import msgspec

from defense_lines.guard import Override, Permit, Refusal
from defense_lines.ledger.faults import InvalidRecord
from defense_lines.line import Receipt
from policy import BlockPolicy

MAX_BODY = 65_536  # bytes of one record


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A block that the guard permitted."""

    block: str  # block id
    policy: BlockPolicy
    guarded: float  # seconds that the guard took
    override: Override | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A block that the guard refused."""

    block: str  # block id
    policy: BlockPolicy
    rule: str
    reason: str
    override: Override | None = None


class Lift(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a block before its time."""

    block: str  # block id
    by: str  # who takes responsibility: "analyst:jo"
    reason: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A line's receipt, with the block's stage times. None where another process accepted the block."""

    block: str  # block id
    receipt: Receipt
    after: float | None = None  # seconds from accepted (for a lift: from the lift's call) to this receipt
    durable: float | None = None  # seconds from accepted to durable


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """A principal's risk, in force until it expires or is set again."""

    principal: str
    level: str  # "low", "medium", "high"
    expires: float  # Unix seconds
    reason: str
    by: str  # "policy:portcullis/response", "analyst:jo"


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Live sessions that were ended without a block, by what they had in common."""

    kind: str  # "principal", "actor", "session", "address", "range", "token", "login", …
    value: str
    sessions: int  # how many there were
    by: str  # "analyst:jo", "policy:portcullis/signals"
    reason: str


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """Proofs that count no more, in force until its time: those of what is named that were issued at or before."""

    kind: str  # "principal", "actor", "subject", "login", "token", "key", "device", "email"
    value: str
    before: float  # Unix seconds
    until: float  # Unix seconds
    reason: str
    by: str  # "policy:portcullis/signals", "analyst:jo"
    signal: str = ""  # the security event that asked for it, by issuer and jti

    def covers(self, other: Revocation) -> bool:
        """Whether this refuses all that the other does, for at least as long."""
        same = (self.kind, self.value) == (other.kind, other.value)
        return same and self.before >= other.before and self.until >= other.until


class DataChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the policy's data that an operator ordered."""

    detail: str  # an operation a line: {"op":"put","path":["risk","person:alice"],"value":"high"}
    by: str  # "analyst:jo"
    reason: str


Written = Permit | Refusal | Lift | Answer | Risk | Cut | Revocation | DataChange  # what may be appended
Record = Blocked | Refused | Lift | Answer | Risk | Cut | Revocation | DataChange  # what is read back
_KINDS: dict[str, type[Record]] = {
    "block": Blocked,
    "refusal": Refused,
    "lift": Lift,
    "receipt": Answer,
    "risk": Risk,
    "cut": Cut,
    "revocation": Revocation,
    "data": DataChange,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_record(written: Written) -> Record:
    """A permit or refusal as it stands in the history; the others are records already. Raises TypeError."""
    if isinstance(written, Permit):
        guarded = written.guarded - written.accepted
        block = written.block
        return Blocked(block=block.id, policy=block, guarded=guarded, override=written.override)
    if isinstance(written, Refusal):
        block, override = written.block, written.override
        return Refused(block=block.id, policy=block, rule=written.rule, reason=written.reason, override=override)
    if isinstance(written, (Lift, Answer, Risk, Cut, Revocation, DataChange)):
        return written
    raise TypeError(f"a {type(written).__name__} cannot be appended: a block needs the guard's permit")


def kind_of(record: Record) -> str:
    """The record's kind: "block", "refusal", "lift", "receipt", "risk", "cut", "revocation" or "data"."""
    return _NAMES[type(record)]


def encode(tree: dict[str, Any], kind: str) -> bytes:
    """Canonical JSON of a record's tree. Raises InvalidRecord for what could not be read back."""
    try:
        body = msgspec.json.encode(tree, order="sorted")
        decode(kind, body)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRecord(f"{kind}: {error}") from error
    if len(body) > MAX_BODY:
        raise InvalidRecord(f"{kind}: {len(body)} bytes, the limit is {MAX_BODY}")
    return body


def decode(kind: str, body: bytes | str) -> Record:
    """The record of a body. Raises KeyError or msgspec.DecodeError for what was never written here."""
    return msgspec.json.decode(body, type=_KINDS[kind])


def to_tree(record: Record) -> dict[str, Any]:
    """The record as plain dicts, lists and scalars."""
    tree: dict[str, Any] = msgspec.to_builtins(record)
    return tree


def from_tree(kind: str, tree: dict[str, Any]) -> Record:
    """Reverse of `to_tree`; of a cut also as the first ledgers have it, with its kind and value in a target."""
    if kind == "cut" and "target" in tree:
        tree = tree | tree["target"]
    return msgspec.convert(tree, _KINDS[kind])
