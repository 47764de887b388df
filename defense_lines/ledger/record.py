"""A record is one thing decided about blocks, risks, sessions, proofs or policy data, as it stands in the history."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from defense_lines.guard import Approved, Override, Permit, Radius, Refusal
from defense_lines.ledger.faults import InvalidRecord
from defense_lines.line import Capabilities, Outcome, Receipt
from policy import BlockPolicy

MAX_BODY = 65_536  # bytes of one record
MAX_ANSWERS = 2_097_152  # bytes of one record of lines' answers: some 30,000 of them


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A block that the guard permitted."""

    block: str  # block id
    policy: BlockPolicy
    guarded: float  # seconds that the guard took
    accepted: float = 0.0  # Unix seconds when the guard was asked; 0 in ledgers of version 1
    override: Override | None = None
    detail: str = ""  # what the guard changed and why
    approved: bool = False  # by a second person


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A block that the guard refused."""

    block: str  # block id
    policy: BlockPolicy
    rule: str
    reason: str
    override: Override | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A block that waits for a second person."""

    block: str  # block id, which it keeps if it is approved
    policy: BlockPolicy
    rule: str
    reason: str
    radius: Radius  # whom it would hit, as the second person is told
    until: float  # Unix seconds; then it is as if nobody had asked


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What a second person said of a block that waited."""

    block: str  # block id
    verdict: Literal["approved", "declined"]
    by: str  # "analyst:kim as soc"
    reason: str


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A block that stands on one line first, and is watched there."""

    block: str  # id of the block on that line
    policy: BlockPolicy  # what is to follow on all lines
    bearable: int  # good callers that it may refuse before that counts as harm
    reason: str
    approved: Approved | None = None  # by whom, where that was needed

    @classmethod
    def of(cls, permit: Permit) -> Staged | None:
        """Of a canary's permit; None for another's."""
        if permit.whole is None:
            return None
        block, whole = permit.block.id, permit.whole
        return cls(block=block, policy=whole, bearable=permit.bearable, reason=permit.detail, approved=permit.approved)


class Concluded(msgspec.Struct, frozen=True, kw_only=True):
    """What watching a block came to."""

    block: str  # block id
    policy: BlockPolicy
    outcome: Literal["promoted", "stopped", "harm"]  # goes to all lines; may not go there; was taken back
    follows: str = ""  # id of the block on all lines
    reason: str


class Lift(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a block before its time."""

    block: str  # block id
    by: str  # who takes responsibility: "analyst:jo"
    reason: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A line's receipt for one order, with the block's stage times, as ledgers of version 1 have it."""

    block: str  # block id
    receipt: Receipt
    after: float | None = None  # seconds from accepted (for a lift: from the lift's call) to this receipt
    durable: float | None = None  # seconds from accepted to durable


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What a line says that it can do; from then on it is told what it can do, and the others count without it."""

    line: str
    capabilities: Capabilities


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """One line carried out a batch."""

    line: str
    time: float  # Unix seconds by the line's clock
    ms: float  # what it took the line, milliseconds
    received: float  # Unix seconds by our clock


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that carried out all that they can do of the entries after one and up to another."""

    after: int
    upto: int
    head: str  # that the lines echoed
    by: tuple[Answered, ...]


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """What one line said of one order beyond that it was carried out, or said out of turn."""

    line: str
    block: str  # block id
    outcome: Outcome
    detail: str
    time: float  # Unix seconds by the line's clock
    ms: float
    received: float  # Unix seconds by our clock


class Synced(msgspec.Struct, frozen=True, array_like=True):
    """The entries after one and up to another became durable."""

    after: int
    upto: int
    time: float  # Unix seconds by our clock, when the disk had taken them


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What lines answered, since the last such record. A note stands above the batch that it belongs to.

    Whoever appends it leaves `durable` empty: the ledger adds what became durable since the last such record.
    """

    batches: tuple[Batch, ...] = ()
    notes: tuple[Noted, ...] = ()
    durable: tuple[Synced, ...] = ()


class Posture(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a line is given orders."""

    line: str
    state: Literal["in_service", "drained", "quarantined"]
    by: str  # "analyst:jo", "guard:lines"
    reason: str


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


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """Entries up to one were moved into an archive, but for those that still mattered."""

    upto: int
    hash: str  # of that entry, hexadecimal
    archive: str  # name of the archive's file
    by: str  # "operator:uid-1000"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger goes on from a backup. What stood after the backup's last entry is lost; lines may know of it."""

    after: int  # the backup's last entry


_Plain = (
    Held
    | Approval
    | Staged
    | Concluded
    | Lift
    | Answer
    | Declared
    | Answers
    | Posture
    | Risk
    | Cut
    | Revocation
    | DataChange
    | Compacted
    | Restored
)
Written = Permit | Refusal | _Plain  # what may be appended
Record = Blocked | Refused | _Plain  # what is read back
_KINDS: dict[str, type[Record]] = {
    "block": Blocked,
    "refusal": Refused,
    "held": Held,
    "approval": Approval,
    "staged": Staged,
    "concluded": Concluded,
    "lift": Lift,
    "receipt": Answer,
    "line": Declared,
    "receipts": Answers,
    "posture": Posture,
    "risk": Risk,
    "cut": Cut,
    "revocation": Revocation,
    "data": DataChange,
    "compacted": Compacted,
    "restored": Restored,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_record(written: Written, began: float) -> Record:
    """A permit or refusal as it stands in the history; the others are records already. Raises TypeError.

    `began` is the Unix time, in seconds, at which the monotonic clock that permits have their times of stood at zero.
    """
    if isinstance(written, Permit):
        block, guarded, accepted = written.block, written.guarded - written.accepted, began + written.accepted
        return Blocked(
            block=block.id,
            policy=block,
            guarded=guarded,
            accepted=accepted,
            override=written.override,
            detail=written.detail,
            approved=written.approved is not None,
        )
    if isinstance(written, Refusal):
        block, override = written.block, written.override
        return Refused(block=block.id, policy=block, rule=written.rule, reason=written.reason, override=override)
    if isinstance(written, _Plain):
        return written
    raise TypeError(f"a {type(written).__name__} cannot be appended: a block needs the guard's permit")


def kind_of(record: Record) -> str:
    """The record's kind, as the history names it: "block", "refusal", "held", …"""
    return _NAMES[type(record)]


def encode(tree: dict[str, Any], kind: str) -> bytes:
    """Canonical JSON of a record's tree. Raises InvalidRecord for what could not be read back."""
    try:
        body = msgspec.json.encode(tree, order="sorted")
        decode(kind, body)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRecord(f"{kind}: {error}") from error
    limit = MAX_ANSWERS if kind == "receipts" else MAX_BODY
    if len(body) > limit:
        raise InvalidRecord(f"{kind}: {len(body)} bytes, the limit is {limit}")
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
