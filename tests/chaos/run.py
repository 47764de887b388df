"""One run: a site under load whose parts are killed, watched all the time, and compared with its ledger at the end."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from defense_lines import Blocked, Ledger, Lift
from defense_lines.agent.prefix import Prefix, network, packed
from tests.chaos.account import Account, Ended, drift
from tests.chaos.killing import Killers
from tests.chaos.load import Load
from tests.chaos.layout import NEVER
from tests.chaos.site import Site, site
from tests.chaos.wire import Weather

_LOOK = 0.25  # seconds between looks at a line
_QUIET = 60.0  # seconds until every line has answered for everything, once nobody is killed
_EXACT = 1.2  # seconds by which a line's end may differ: nft tells whole ones


@dataclass
class Report:
    """What a run found."""

    seed: int
    seconds: float
    kills: Mapping[str, int]
    idle: int
    acknowledged: int
    outcomes: Mapping[str, int]
    lifted: int
    fell: Mapping[str, list[int]]
    lost: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    stood: int = 0  # blocks that stood when all was compared
    tracebacks: int = 0  # in what the parts said
    drifted: int = 0  # blocks that the last gateway found missing or left over, and repaired

    @property
    def figures(self) -> dict[str, Any]:
        """The last line."""
        return {
            "kills": sum(self.kills.values()),
            "lost": len(self.lost),
            "late": len(self.late),
            "never_block_violations": len(self.never),
            "drift": len(self.drift),
            "fell": sum(map(len, self.fell.values())),
            "seconds": round(self.seconds, 1),
            "acknowledged": self.acknowledged,
            "lifted": self.lifted,
            "stood": self.stood,
            "idle_kills": self.idle,
            "tracebacks": self.tracebacks,
            "drifted": self.drifted,
            "by_part": dict(self.kills),
            "outcomes": dict(self.outcomes),
            "seed": self.seed,
        }

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.late or self.never or self.drift or any(self.fell.values()))


async def run(folder: Path, kills: int, seed: int, weather: Weather) -> Report:
    """Raises TimeoutError where something does not come back."""
    chance = random.Random(seed)
    account = Account(tuple(ipaddress.ip_network(each) for each in NEVER))
    began = time.monotonic()
    async with site(folder, seed, weather) as here:
        load = Load(here, account, random.Random(chance.random()))
        killers = Killers(here, load, random.Random(chance.random()), _progress(kills))
        async with _beside(load.run(), *(_watch(here, account, name) for name in here.lines)):
            await killers.run(kills)
        await _settle(here)
        lines = await here.statuses()
        held = await _held(here, account)
        now = time.time()
        await here.parts["gateway"].kill()
        on_record = await _on_record(here.config.state / "ledger")
        report = Report(
            seed=seed,
            seconds=time.monotonic() - began,
            kills={part.name: part.kills for part in here.parts.values()},
            idle=killers.idle,
            acknowledged=load.acknowledged,
            outcomes=Counter(asked.outcome for asked in account.asked),
            lifted=sum(asked.lifted for asked in account.asked),
            fell={part.name: part.fell for part in here.parts.values() if part.fell},
        )
    _judge(report, account, on_record, held, now)
    report.drifted = sum(line["drifted"] for line in lines.values())
    report.tracebacks = sum(file.read_text(errors="replace").count("Traceback") for file in folder.glob("*.log"))
    return report


def _judge(
    report: Report,
    account: Account,
    on_record: Mapping[str, Ended],
    held: Mapping[str, tuple[float, Mapping[Prefix, float]]],
    now: float,
) -> None:
    report.stood = sum(not block.lifted and block.expires > now for block in on_record.values())
    report.lost = [f"{asked.id} {asked.value}: {_words(asked, on_record)}" for asked in account.lost(on_record)]
    late = account.late_by_record(on_record.values())
    report.late = [f"{line}: {network(prefix)} by {seconds:.2f} s" for (line, prefix), seconds in late.items()]
    report.never = [f"{line}: {network(prefix)}" for line, prefix in account.violations]
    for line, (when, ends) in held.items():
        for prefix, (there, should) in drift(ends, on_record.values(), when, _EXACT).items():
            report.drift.append(f"{line}: {network(prefix)} until {there}, should be {should}, at {when}")


def _words(asked: Any, on_record: Mapping[str, Ended]) -> str:
    return "its lift is lost" if asked.id in on_record else "not on record"


async def _watch(here: Site, account: Account, name: str) -> None:
    while True:
        began = time.time()  # of a look that takes long, all that is known is that it was there at the beginning
        account.look(name, await here.held(name), began)
        await asyncio.sleep(_LOOK * random.uniform(0.5, 1.5))


async def _held(here: Site, account: Account) -> dict[str, tuple[float, Mapping[Prefix, float]]]:
    """What every line enforces, and when it was asked."""
    found: dict[str, tuple[float, Mapping[Prefix, float]]] = {}
    for name in here.lines:
        began = time.time()
        found[name] = began, await here.held(name)
        account.look(name, found[name][1], began)
    return found


async def _settle(here: Site) -> None:
    """Nobody is killed and nothing asked: until every line has answered for everything, twice in a row."""
    calm = 0

    async def quiet() -> bool:
        nonlocal calm
        lines = await here.statuses()
        named = [lines.get(name, {}) for name in here.lines]
        calm = calm + 1 if all(line.get("state") == "up" and line.get("pending") == 0 for line in named) else 0
        return calm >= 20

    await here.until(quiet, "every line has answered for everything", _QUIET)


async def _on_record(folder: Path) -> dict[str, Ended]:
    """Every block that was ever on record. Opening the ledger verifies it."""
    found: dict[str, Ended] = {}
    async with await Ledger.open(folder) as ledger:
        after = 0
        while entries := await ledger.since(after, 1000, ("block", "lift")):
            after = entries[-1].seq
            for entry in entries:
                record = entry.record
                if isinstance(record, Blocked):
                    policy = record.policy
                    found[record.block] = Ended(record.block, packed(policy.target.value), policy.expires, False)
                elif isinstance(record, Lift):
                    block = found[record.block]
                    found[record.block] = Ended(block.id, block.prefix, block.expires, True)
    return found


class _beside:
    """Runs coroutines while a block runs; what fails, ends the block."""

    def __init__(self, *works: Any) -> None:
        self._works = works
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> None:
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(work) for work in self._works]

    async def __aexit__(self, *error: Any) -> None:
        for task in self._tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await self._group.__aexit__(*error)


def _progress(kills: int) -> Any:
    def tell(done: int) -> None:
        if done % 50 == 0 or done == kills:
            sys.stderr.write(f"{done} of {kills} kills\n")

    return tell
