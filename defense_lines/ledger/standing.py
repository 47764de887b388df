"""Standing is what the history amounts to now: the blocks that live, the risks and revocations in force."""

from __future__ import annotations

from collections.abc import Callable

from defense_lines.ledger.names import PERSONAL
from defense_lines.ledger.record import Blocked, Lift, Record, Revocation, Risk
from policy import BlockPolicy

_KEEP = 3600.0  # seconds past expiry that a block is kept, should the clock be set back


class Standing:
    """Folds records, in order. Bounded by what lives: what has expired is dropped as it goes."""

    def __init__(self) -> None:
        self._blocks: dict[str, tuple[int, BlockPolicy]] = {}
        self._risks: dict[str, Risk] = {}
        self._revocations: dict[tuple[str, str], tuple[Revocation, ...]] = {}  # none covers another
        self._swept = 0.0

    def copy(self) -> Standing:
        """The same, for another thread."""
        other = Standing()
        other._blocks, other._risks, other._swept = dict(self._blocks), dict(self._risks), self._swept
        other._revocations = dict(self._revocations)
        return other

    def current(self, now: float, renew: Callable[[Record], Record]) -> Standing:
        """Only what lives and is in force now, each record renewed."""
        other = Standing()
        for seq, block in self.live(now):
            other.fold(seq, renew(Blocked(block=block.id, policy=block, guarded=0.0)), now)
        for risk in self.risks(now):
            other.fold(0, renew(risk), now)
        for revocation in self.revocations(now):
            other.fold(0, renew(revocation), now)
        return other

    def fold(self, seq: int, record: Record, now: float) -> None:
        """Take one more record into account."""
        if isinstance(record, Blocked):
            self._blocks[record.block] = (seq, record.policy)
        elif isinstance(record, Lift):
            self._blocks.pop(record.block, None)
        elif isinstance(record, Risk):
            self._risks[record.principal] = record
        elif isinstance(record, Revocation):
            self._revoke(record)
        if now - self._swept > _KEEP:
            self._sweep(now)

    def live(self, now: float) -> list[tuple[int, BlockPolicy]]:
        """Blocks neither lifted nor expired, each with its entry's seq, in order."""
        return [(seq, block) for seq, block in self._blocks.values() if block.expires > now]

    def risks(self, now: float) -> list[Risk]:
        """Risks in force, the latest of each principal."""
        return [risk for risk in self._risks.values() if risk.expires > now]

    def revocations(self, now: float) -> list[Revocation]:
        """Revocations in force, less those that another covers."""
        return [each for held in self._revocations.values() for each in held if each.until > now]

    def block(self, block_id: str, now: float) -> BlockPolicy | None:
        """A live block."""
        _, block = self._blocks.get(block_id, (0, None))
        return block if block and block.expires > now else None

    def names(self, name: str, now: float) -> bool:
        """Whether a live block, or a risk or revocation in force, is about this name."""
        blocked = any(block.target.value == name for _, block in self.live(now) if block.target.kind in PERSONAL)
        revoked = any(each.value == name for each in self.revocations(now) if each.kind in PERSONAL)
        return blocked or revoked or any(risk.principal == name for risk in self.risks(now))

    def _revoke(self, record: Revocation) -> None:
        held = self._revocations.get((record.kind, record.value), ())
        if not any(each.covers(record) for each in held):
            left = tuple(each for each in held if not record.covers(each))
            self._revocations[record.kind, record.value] = (*left, record)

    def _sweep(self, now: float) -> None:
        self._swept = now
        self._blocks = {name: kept for name, kept in self._blocks.items() if kept[1].expires > now - _KEEP}
        self._risks = {name: risk for name, risk in self._risks.items() if risk.expires > now - _KEEP}
        revocations, self._revocations = self.revocations(now - _KEEP), {}
        for revocation in revocations:
            self._revoke(revocation)
