"""The report of a run: what was found, and the figures of its last line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from defense_lines.agent.prefix import Prefix, network
from tests.chaos.account import Account, Asked, drift
from tests.chaos.record import Ended

_EXACT = 1.2  # seconds by which a line's end may differ: nft tells whole ones


@dataclass
class Report:
    """Findings are in words."""

    account: Account
    seed: int
    seconds: float = 0.0
    kills: dict[str, int] = field(default_factory=dict)  # by part
    fell: dict[str, list[int]] = field(default_factory=dict)  # exit codes of parts that ended by themselves
    longest: dict[str, float] = field(default_factory=dict)  # seconds until a part of a kind worked again
    idle: int = 0  # kills that waited for nothing
    lost: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    compared: int = 0  # blocks that stood when lines were compared with the ledger
    drifted: int = 0  # blocks that the last gateway found missing or left over, and repaired
    tracebacks: int = 0  # in what the parts said

    @property
    def figures(self) -> dict[str, Any]:
        """The last line."""
        return {
            "kills": sum(self.kills.values()),
            "lost": len(self.lost),
            "late": len(self.late),
            "gaps": len(self.gaps),
            "never_block_violations": len(self.never),
            "drift": len(self.drift),
            "fell": sum(map(len, self.fell.values())),
            "tracebacks": self.tracebacks,
            "seconds": round(self.seconds, 1),
            "asked": dict(Counter(asked.outcome for asked in self.account.asked)),
            "lifted": sum(asked.lifted for asked in self.account.asked),
            "compared": self.compared,
            "drifted": self.drifted,
            "kills_of": self.kills,
            "kills_while_starting": self.idle,
            "longest_away_seconds": {kind: round(seconds, 1) for kind, seconds in self.longest.items()},
            "seed": self.seed,
        }

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        findings = (self.lost, self.late, self.gaps, self.never, self.drift)
        return not (any(findings) or self.fell or self.tracebacks)

    def watched(self) -> None:
        """What was seen on lines while they were watched."""
        self.late = [_late(*found) for found in self.account.late.items()]
        self.gaps = [f"{line}: {network(prefix)} at {when}" for (line, prefix), when in self.account.gaps.items()]
        self.never = [f"{line}: {network(prefix)}" for line, prefix in self.account.violations]

    def gone(self, asked: Iterable[Asked], refusal: str = "") -> None:
        """These were acknowledged, and the ledger does not have them; `refusal`: why it does not open, if so."""
        self.lost = [f"{each.id} {each.value}{', lifted' if each.lifted else ''}" for each in asked]
        self.lost += [refusal] if refusal else []

    def recorded(self, record: Mapping[str, Ended], held: Mapping[str, tuple[float, Mapping[Prefix, float]]]) -> None:
        """The ledger as it was at the end; `held` is what each line enforced then, and when it was asked."""
        self.gone(self.account.lost(record))
        self.late = [_late(*found) for found in self.account.late_by_record(record.values()).items()]
        end = max((when for when, _ in held.values()), default=0.0)
        self.compared = sum(not block.lifted and block.expires > end for block in record.values())
        for line, (when, ends) in held.items():
            for prefix, (there, should) in drift(ends, record.values(), when, _EXACT).items():
                self.drift.append(f"{line}: {network(prefix)} until {there}, should be until {should}, at {when}")


def _late(where: tuple[str, Prefix], seconds: float) -> str:
    return f"{where[0]}: {network(where[1])} by {seconds:.2f} s"
