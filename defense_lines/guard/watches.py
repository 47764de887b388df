"""A watch looks at what a new block does to good callers, for a while; it ends well, or by harm."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from math import ceil
from typing import NamedTuple

from prometheus_client import Counter

from defense_lines.guard.blast_radius import Callers
from defense_lines.guard.harm import Tally, risen
from defense_lines.guard.health import Health
from defense_lines.guard.limits import GuardLimits
from defense_lines.guard.permit import Approved
from defense_lines.guard.places import canonical
from defense_lines.guard.prefixes import Prefixes
from defense_lines.guard.spans import span
from policy import BlockPolicy

_MOST = 10_000  # watches; the oldest makes room, unless it is a canary's
_NAMED = 1_000  # callers kept of each sort
_BLAMED = 3  # blocks that may be to blame together; of more, nobody knows which it is
_LEFT = Counter("portcullis_defense_lines_guard_unwatched_total", "New blocks not watched to the end for lack of room")
_UNEXPLAINED = Counter(
    "portcullis_defense_lines_guard_unexplained_total", "Looks at harm that too many new blocks may be to blame for"
)


class Request(NamedTuple):
    """A request that a block refused: for whom, by whom, from where, which block; "" if unknown."""

    principal: str
    actor: str
    address: str
    block: str = ""  # one of those that refuse it, by id


@dataclass(slots=True)
class Watch:
    """One block that is watched."""

    block: BlockPolicy
    whole: BlockPolicy | None  # where the block is a canary: what is to follow
    bearable: int  # of those whom it was known to hit, so many may be refused
    approved: Approved | None
    since: float  # Unix seconds
    expected: frozenset[str]  # whom it was known to hit
    refused: set[str] = field(default_factory=set)  # of these, who came and was refused
    surprised: set[str] = field(default_factory=set)  # other good callers that it refused

    def meets(self, principal: str) -> None:
        """It refuses a good caller."""
        kept = self.refused if principal in self.expected else self.surprised
        if len(kept) < _NAMED:
            kept.add(principal)

    def unbearable(self) -> str | None:
        """The figures, where it refuses more than it may."""
        if len(self.refused) <= self.bearable:
            return None
        return f"refused {len(self.refused)} good callers, {self.bearable} are borne"


class Harmed(NamedTuple):
    """A watch that ends by harm, and the figures."""

    watch: Watch
    figures: str


class Watches:
    """All that are watched. Times are Unix seconds."""

    def __init__(
        self, limits: GuardLimits, callers: Callers, unexplained: Callable[[str], None] = lambda figures: None
    ) -> None:
        """`unexplained` is told the figures of harm that too many blocks may be to blame for."""
        self._limits = limits
        self._callers = callers
        self._unexplained = unexplained
        self._health = Health(2 * limits.watch_seconds + 2)
        self._watches: OrderedDict[str, Watch] = OrderedDict()
        self._met: dict[str, Watch] = {}  # those that refused a good caller, by block id
        self._by: dict[tuple[str, str], set[str]] = {}
        self._ranges = Prefixes()

    def __len__(self) -> int:
        return len(self._watches)

    def __contains__(self, block_id: str) -> bool:
        return block_id in self._watches

    def add(
        self, block: BlockPolicy, whole: BlockPolicy | None, bearable: int, approved: Approved | None, now: float
    ) -> None:
        """A block stands from now on."""
        self._make_room()
        self._keep(Watch(block, whole, bearable, approved, now, self._callers.hit(block.target, now)))

    def put_back(self, watch: Watch) -> None:
        """One that was removed goes on as it was."""
        self._keep(watch)

    def remove(self, block_id: str) -> Watch | None:
        """Watch a block no more."""
        watch = self._watches.pop(block_id, None)
        self._met.pop(block_id, None)
        if watch is None:
            return None
        target = watch.block.target
        if target.kind == "range":
            self._ranges.discard(span(target.value), block_id)
        else:
            named = self._by[target.kind, target.value]
            named.discard(block_id)
            if not named:
                del self._by[target.kind, target.value]
        return watch

    def saw(self, passed: Iterable[str], failed: Iterable[str], refused: Iterable[Request], now: float) -> None:
        """What became of requests: principals that passed and that failed, and what blocks refused."""
        failing = {caller for caller in failed if self._good(caller)}
        failing.update(one.principal for one in refused if self._good(one.principal) and self._surprised(one))
        self._health.saw((caller for caller in passed if self._good(caller)), failing, now)

    def harmed(self, now: float) -> list[Harmed]:
        """Watches that end by harm now."""
        found = [Harmed(watch, why) for watch in self._met.values() if (why := watch.unbearable())]
        return found or list(self._blamed(now))

    def over(self, now: float) -> list[Watch]:
        """Watches that ended well."""
        return [watch for watch in self._watches.values() if watch.since + self._limits.watch_seconds <= now]

    def _good(self, caller: str) -> bool:
        hour, week = self._callers
        return hour.knows(caller) or week.knows(caller)

    def _surprised(self, request: Request) -> bool:
        """Whether watched blocks refuse this caller, and none was known to: one that was answers for it alone."""
        watches = [self._watches[block_id] for block_id in set(self._refusing(request))]
        for watch in watches:
            watch.meets(request.principal)
            self._met[watch.block.id] = watch
        return bool(watches) and not any(request.principal in watch.expected for watch in watches)

    def _refusing(self, request: Request) -> Iterator[str]:
        if request.block in self._watches:
            yield request.block  # by an actor behind the current one too, whom the log does not name
        address = canonical(request.address)
        for key in (("principal", request.principal), ("actor", request.actor), ("address", address)):
            yield from self._by.get(key, ())
        if address and self._ranges:
            try:
                yield from self._ranges.holding(span(address))
            except ValueError:  # a caller over a Unix socket
                return

    def _blamed(self, now: float) -> Iterator[Harmed]:
        """Whoever refuses many that it was not known to hit; else the few that stand on other lines than the edge."""
        if self._health.failing < self._limits.harm_callers:
            return  # which is nearly always so, and looked at twice a second for each of thousands of blocks
        tally = cache(self._health.tally)  # many blocks may be of one second
        found = [(watch, why) for watch in self._watches.values() if (why := self._risen(watch, now, tally))]
        refusing = [each for each in found if len(each[0].surprised) >= self._limits.harm_callers]
        others = [each for each in found if each[0].block.lines != (self._limits.canary_line,)]
        if refusing or len(others) <= _BLAMED:
            yield from (Harmed(*each) for each in refusing or others)
        else:
            _UNEXPLAINED.inc()
            self._unexplained(others[0][1])

    def _risen(self, watch: Watch, now: float, tally: Callable[[int, int], Tally]) -> str | None:
        """From the next whole second after the block on, and as long before it."""
        began, before = ceil(watch.since), int(watch.since)
        length = int(min(now - began, self._limits.watch_seconds))
        if length < 1:
            return None
        return risen(tally(before - length, before), tally(began, began + length), self._limits)

    def _keep(self, watch: Watch) -> None:
        block = watch.block
        self._watches[block.id] = watch
        if watch.refused or watch.surprised:  # one that was put back
            self._met[block.id] = watch
        if block.target.kind == "range":
            self._ranges.add(span(block.target.value), block.id)
        else:
            self._by.setdefault((block.target.kind, block.target.value), set()).add(block.id)

    def _make_room(self) -> None:
        if len(self._watches) >= _MOST:
            oldest = next((watch for watch in self._watches.values() if watch.whole is None), None)
            if oldest is not None:
                _LEFT.inc()
                self.remove(oldest.block.id)
