"""Standing is what the history amounts to now: blocks that live, risks and revocations in force, lines' postures, and
what is still undecided.
"""

from __future__ import annotations

from collections.abc import Iterator

from defense_lines.ledger.orders import KEEP, StandingOrders
from defense_lines.ledger.record import Blocked, Declared, Held, Lift, Posture, Record, Restored, Revocation, Risk
from defense_lines.ledger.undecided import Undecided
from defense_lines.line import Capabilities

_DECISIONS = {"held", "approval", "staged", "concluded"}
FOLDED = frozenset(
    {"block", "lift", "risk", "revocation", "posture", "line", "restored", *_DECISIONS}
)  # kinds that change what stands


class Standing:
    """Folds records, in order. Bounded by what lives: what has expired is dropped as it goes."""

    def __init__(self) -> None:
        self.orders = StandingOrders()
        self.undecided = Undecided()
        self._risks: dict[str, tuple[int, Risk]] = {}
        self._revocations: dict[tuple[str, str], tuple[tuple[int, Revocation], ...]] = {}  # none covers another
        self._postures: dict[str, tuple[int, Posture]] = {}
        self._declared: dict[str, tuple[int, Declared]] = {}
        self._restored: tuple[int, Restored] | None = None
        self._approved: dict[str, float] = {}  # block ids, and when each expires
        self._swept = 0.0

    def fold(self, seq: int, record: Record, time: float, now: float) -> None:
        """Take one more record into account, written at a time; those of other kinds change nothing."""
        if isinstance(record, Blocked):
            self.orders.enforce(seq, record.policy, now)
            if record.approved:
                self._approved[record.block] = record.policy.expires
        elif isinstance(record, Lift):
            self.orders.lift(seq, record.block, now)
            self._approved.pop(record.block, None)
        elif isinstance(record, Risk):
            self._risks[record.principal] = seq, record
        elif isinstance(record, Revocation):
            self._revoke(seq, record)
        elif isinstance(record, Posture):
            self._postures[record.line] = seq, record
        elif isinstance(record, Declared):
            self._declared[record.line] = seq, record
        elif isinstance(record, Restored):
            self._restored = seq, record
        else:
            self.undecided.fold(seq, record, time)
        if now - self._swept > KEEP:
            self._sweep(now)

    def risks(self, now: float) -> list[Risk]:
        """Risks in force, the latest of each principal."""
        return [risk for _, risk in self._risks.values() if risk.expires > now]

    def revocations(self, now: float) -> list[Revocation]:
        """Revocations in force, less those that another covers."""
        return [each for _, each in self._all_revocations() if each.until > now]

    def approved(self, block_id: str) -> bool:
        """Whether a second person approved a live block."""
        return block_id in self._approved

    def posture(self, line: str) -> Posture | None:
        """What was last said of whether a line is given orders; None if nothing ever was."""
        found = self._postures.get(line)
        return found[1] if found else None

    def declared(self, line: str) -> Capabilities | None:
        """What a line last declared that it can do; None if it never did."""
        found = self._declared.get(line)
        return found[1].capabilities if found else None

    @property
    def restored(self) -> int:
        """The last entry before the history goes on from a backup; 0 if it never did."""
        return self._restored[1].after if self._restored else 0

    def seqs(self) -> list[int]:
        """Places of all entries that this can be folded from again, in no order."""
        others = (*self._risks.values(), *self._postures.values(), *self._declared.values(), *self._all_revocations())
        found = self.orders.seqs()
        found += (seq for seq, _ in others)
        found += self.undecided.seqs()
        return [*found, self._restored[0]] if self._restored else found

    def needs(self, seq: int, record: Record, now: float) -> bool:
        """Whether the block, risk or revocation of an entry is in force, or its block waits for a second person."""
        if isinstance(record, Blocked):
            return self.orders.block(record.block, now) is not None
        if isinstance(record, Held):
            return record in self.undecided.held(now)
        if isinstance(record, Risk):
            return self._risks.get(record.principal) == (seq, record) and record.expires > now
        return isinstance(record, Revocation) and record.until > now

    def _all_revocations(self) -> Iterator[tuple[int, Revocation]]:
        return (each for held in self._revocations.values() for each in held)

    def _revoke(self, seq: int, record: Revocation) -> None:
        held = self._revocations.get((record.kind, record.value), ())
        if not any(each.covers(record) for _, each in held):
            left = tuple(each for each in held if not record.covers(each[1]))
            self._revocations[record.kind, record.value] = (*left, (seq, record))

    def _sweep(self, now: float) -> None:
        self._swept = now
        self.undecided.sweep(now)
        self._approved = {name: expires for name, expires in self._approved.items() if expires > now - KEEP}
        self._risks = {name: each for name, each in self._risks.items() if each[1].expires > now - KEEP}
        revocations = [each for each in self._all_revocations() if each[1].until > now - KEEP]
        self._revocations = {}
        for seq, revocation in revocations:
            self._revoke(seq, revocation)


def over(record: Record, now: float) -> bool:
    """Whether a record's block, risk or revocation ended so long ago that what stands is the same without it."""
    if isinstance(record, Blocked):
        return record.policy.expires <= now - KEEP
    return isinstance(record, Revocation) and record.until <= now - KEEP
