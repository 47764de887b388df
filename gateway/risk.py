"""Risk of principals, as policy reads it: levels with an end, kept in policy data."""

from __future__ import annotations

from defense_lines import Risk
from policy import Pdp, RiskChange


class Risks:
    """The levels in force, mirrored at `data.risk` of the PDP."""

    def __init__(self, pdp: Pdp) -> None:
        self._pdp = pdp
        self._levels: dict[str, Risk] = {}

    def set(self, risk: Risk) -> None:
        """Raise or lower a principal's risk."""
        self._levels[risk.principal] = risk
        self._pdp.put_data(("risk", risk.principal), risk.level)

    def change(self, change: RiskChange, by: str, reason: str, now: float) -> Risk:
        """What a policy wants at `now` (Unix seconds), in force; to be put on record."""
        risk = Risk(principal=change.principal, level=change.level, expires=now + change.ttl, reason=reason, by=by)
        self.set(risk)
        return risk

    def expire(self, now: float) -> list[str]:
        """End what has run out by `now` (Unix seconds); the principals whose risk changed."""
        ended = [risk.principal for risk in self._levels.values() if risk.expires <= now]
        for principal in ended:
            del self._levels[principal]
            self._pdp.remove_data(("risk", principal))
        return ended
