"""Standing is what the history amounts to now: blocks that live, risks and revocations in force, lines' postures."""

from __future__ import annotations

from collections.abc import Callable

from defense_lines.ledger.names import PERSONAL
from defense_lines.ledger.orders import StandingOrders
from defense_lines.ledger.record import Blocked, Lift, Posture, Record, Revocation, Risk
from policy import BlockPolicy

_KEEP = 3600.0  # seconds past expiry that something is kept, should the clock be set back


def _same(record: Record) -> Record:
    return record


class Standing:
    """Folds records, in order. Bounded by what lives: what has expired is dropped as it goes."""

    def __init__(self) -> None:
        self.orders = StandingOrders()
        self._risks: dict[str, Risk] = {}
        self._revocations: dict[tuple[str, str], tuple[Revocation, ...]] = {}  # none covers another
        self._postures: dict[str, Posture] = {}
        self._swept = 0.0

    def current(self, now: float, renew: Callable[[Record], Record] = _same) -> Standing:
        """Only what lives and is in force now, each record renewed; nothing of it is shared."""
        other = Standing()
        other.orders = self.orders.current(now, lambda block: _renewed(block, renew))
        records: tuple[Record, ...] = (*self.risks(now), *self.revocations(now), *self._postures.values())
        for record in records:
            other.fold(0, renew(record), now)
        return other

    def fold(self, seq: int, record: Record, now: float) -> None:
        """Take one more record into account; those of other kinds change nothing."""
        if isinstance(record, Blocked):
            self.orders.enforce(seq, record.policy, now)
        elif isinstance(record, Lift):
            self.orders.lift(seq, record.block, now)
        elif isinstance(record, Risk):
            self._risks[record.principal] = record
        elif isinstance(record, Revocation):
            self._revoke(record)
        elif isinstance(record, Posture):
            self._postures[record.line] = record
        if now - self._swept > _KEEP:
            self._sweep(now)

    def risks(self, now: float) -> list[Risk]:
        """Risks in force, the latest of each principal."""
        return [risk for risk in self._risks.values() if risk.expires > now]

    def revocations(self, now: float) -> list[Revocation]:
        """Revocations in force, less those that another covers."""
        return [each for held in self._revocations.values() for each in held if each.until > now]

    def posture(self, line: str) -> Posture | None:
        """What was last said of whether a line is given orders; None if nothing ever was."""
        return self._postures.get(line)

    def names(self, name: str, now: float) -> bool:
        """Whether a live block, or a risk or revocation in force, is about this name."""
        blocked = any(block.target.value == name for _, block in self.orders.live(now) if block.target.kind in PERSONAL)
        revoked = any(each.value == name for each in self.revocations(now) if each.kind in PERSONAL)
        return blocked or revoked or any(risk.principal == name for risk in self.risks(now))

    def _revoke(self, record: Revocation) -> None:
        held = self._revocations.get((record.kind, record.value), ())
        if not any(each.covers(record) for each in held):
            left = tuple(each for each in held if not record.covers(each))
            self._revocations[record.kind, record.value] = (*left, record)

    def _sweep(self, now: float) -> None:
        self._swept = now
        self._risks = {name: risk for name, risk in self._risks.items() if risk.expires > now - _KEEP}
        revocations, self._revocations = self.revocations(now - _KEEP), {}
        for revocation in revocations:
            self._revoke(revocation)


def _renewed(block: BlockPolicy, renew: Callable[[Record], Record]) -> BlockPolicy:
    record = renew(Blocked(block=block.id, policy=block, guarded=0.0))
    return record.policy if isinstance(record, Blocked) else block
