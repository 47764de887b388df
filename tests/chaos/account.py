"""The account is what was asked of the gateway and what it acknowledged, kept by somebody who is never killed. Pure."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from defense_lines.agent.prefix import Prefix, network, packed
from tests.chaos.record import Ended

LATE = 1.0  # seconds past its end that nothing may be enforced
_EARLY = 0.5  # seconds before its end that a block may be gone: how long an order was on its way is a guess

Outcome = Literal["waiting", "accepted", "refused", "unknown"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class Asked:
    """One block that was asked for."""

    kind: str
    value: str
    ttl: float  # seconds
    sent: float  # Unix seconds
    outcome: Outcome = "waiting"
    latest: float = float("inf")  # Unix seconds by which it has ended, if it ever stood
    id: str = ""  # where it was acknowledged
    lift_asked: bool = False
    lifted: bool = False  # whether its lift was acknowledged


@dataclass(slots=True)
class Account:
    """All that was asked, and all that was seen on lines. `never` is what no line may ever enforce."""

    never: tuple[Network, ...]
    asked: list[Asked] = field(default_factory=list)
    violations: dict[tuple[str, Prefix], float] = field(default_factory=dict)  # when seen first, Unix seconds
    late: dict[tuple[str, Prefix], float] = field(default_factory=dict)  # by how many seconds, at least
    gaps: dict[tuple[str, Prefix], float] = field(default_factory=dict)  # when it was gone before its end, Unix seconds
    seen: dict[tuple[str, Prefix], float] = field(default_factory=dict)  # when last, Unix seconds
    _held: dict[str, set[Prefix]] = field(default_factory=dict)  # by line, when looked at last
    _by_prefix: defaultdict[Prefix, list[Asked]] = field(default_factory=lambda: defaultdict(list))

    def ask(self, kind: str, value: str, ttl: float, now: float) -> Asked:
        """Somebody is about to ask."""
        asked = Asked(kind, value, ttl, now)
        self.asked.append(asked)
        self._by_prefix[packed(value)].append(asked)
        return asked

    def answered(self, asked: Asked, outcome: Outcome, block_id: str, now: float) -> None:
        """The gateway answered, or its connection was lost."""
        asked.outcome, asked.id = outcome, block_id
        asked.latest = float("-inf") if outcome == "refused" else now + asked.ttl

    def look(self, line: str, prefixes: Iterable[Prefix], now: float, until: float) -> None:
        """A line enforces these at some moment between `now` and `until`."""
        held = set(prefixes)
        for prefix in self._held.get(line, set()) - held:
            if self._stands(prefix, until):
                self.gaps[line, prefix] = now
        self._held[line] = held
        for prefix in held:
            self.seen[line, prefix] = now
            if self._is_never(prefix):
                self.violations.setdefault((line, prefix), now)
            latest = max((asked.latest for asked in self._by_prefix.get(prefix, ())), default=float("-inf"))
            if now > latest + LATE:
                self.late[line, prefix] = now - latest

    def late_by_record(self, on_record: Iterable[Ended]) -> dict[tuple[str, Prefix], float]:
        """What was enforced too long, by the ends that the ledger has: more exact than when it was asked."""
        ends: dict[Prefix, float] = {}
        for block in on_record:
            ends[block.prefix] = max(block.expires, ends.get(block.prefix, 0.0))
        found = {(line, prefix): seen - ends.get(prefix, 0.0) for (line, prefix), seen in self.seen.items()}
        return self.late | {where: by for where, by in found.items() if by > LATE}

    def lost(self, on_record: Mapping[str, Ended]) -> list[Asked]:
        """Acknowledged, and not on record: blocks, and lifts."""
        accepted = (asked for asked in self.asked if asked.outcome == "accepted")
        return [asked for asked in accepted if not _kept(asked, on_record.get(asked.id))]

    def _stands(self, prefix: Prefix, now: float) -> bool:
        """Whether a line that had a block on a network must have it still; known where there was only one."""
        asked = self._by_prefix[prefix]
        return len(asked) == 1 and not asked[0].lift_asked and asked[0].sent + asked[0].ttl > now + _EARLY

    def _is_never(self, prefix: Prefix) -> bool:
        found = network(prefix)
        return any(each.version == found.version and each.overlaps(found) for each in self.never)


def drift(
    held: Mapping[Prefix, float], on_record: Iterable[Ended], now: float, exact: float
) -> dict[Prefix, tuple[float | None, float | None]]:
    """Where a line differs from the ledger: for each prefix, until when the line and the ledger say (Unix seconds).

    What ends within `exact` seconds is on neither side, and ends may be that far apart.
    """
    should: dict[Prefix, float] = {}
    for block in on_record:
        if not block.lifted and block.expires > now:
            should[block.prefix] = max(block.expires, should.get(block.prefix, 0.0))
    wrong: dict[Prefix, tuple[float | None, float | None]] = {}
    for prefix in held.keys() | should.keys():
        line, ledger = held.get(prefix), should.get(prefix)
        if max(line or 0.0, ledger or 0.0) > now + exact and abs((line or 0.0) - (ledger or 0.0)) > exact:
            wrong[prefix] = line, ledger
    return wrong


def _kept(asked: Asked, found: Ended | None) -> bool:
    return found is not None and (found.lifted or not asked.lifted)
