"""One run: a site under load whose parts are killed, watched all the time, and compared with its ledger at the end."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from defense_lines.agent.prefix import Prefix
from tests.chaos.account import Account
from tests.chaos.killing import Killers
from tests.chaos.layout import NEVER
from tests.chaos.load import Load
from tests.chaos.power_loss import Lost, PowerLoss
from tests.chaos.record import on_record
from tests.chaos.report import Report
from tests.chaos.site import Site, site
from tests.chaos.wire import Weather

Disk = Literal["kept", "synced", "unsynced"]  # of the gateway's death: what was written is kept, or what was synced is

_LOOK = 0.25  # seconds between looks at a line, about
_CALM = 2.0  # seconds in a row in which every line has answered for everything
_QUIET = 90.0  # seconds until then, on a machine that others use too
_TOLD = 50  # kills between two words of progress


async def run(folder: Path, kills: int, seed: int, weather: Weather, disk: Disk = "kept") -> Report:
    """Raises TimeoutError where something does not come back."""
    chance, began = random.Random(seed), time.monotonic()
    account = Account(tuple(ipaddress.ip_network(each) for each in NEVER))
    report = Report(account, seed)
    loss = (
        None if disk == "kept" else PowerLoss(folder / "state" / "ledger", folder / "power", account, disk == "synced")
    )
    async with site(folder, seed, weather) as here:
        if loss is not None:
            here.parts["gateway"].between = loss.cut
        load = Load(here, account, random.Random(chance.random()))
        killers = Killers(here, load, random.Random(chance.random()), _progress(kills))
        try:
            async with _beside(load.run(), *(_watch(here, account, name) for name in here.lines)):
                await killers.run(kills)
            await _compare(here, account, report)
        except* Lost as lost:
            for each in _leaves(lost):
                report.gone(each.asked, each.refusal)
        report.seconds, report.idle, report.longest = time.monotonic() - began, killers.idle, killers.longest
        report.kills = {part.name: part.kills for part in here.parts.values()}
        report.fell = {part.name: part.fell for part in here.parts.values() if part.fell}
    report.tracebacks = await asyncio.to_thread(_tracebacks, folder)
    return report


def _tracebacks(folder: Path) -> int:
    """In what the parts said."""
    return sum(file.read_text(errors="replace").count("Traceback") for file in folder.glob("*.log"))


async def _compare(here: Site, account: Account, report: Report) -> None:
    """Nobody is killed and nothing asked any more: line by line with the ledger."""
    await _settle(here)
    report.drifted = sum(line["drifted"] for line in (await here.statuses()).values())
    held = {name: await _look(here, account, name) for name in here.lines}
    await here.parts["gateway"].kill()
    report.watched()
    report.recorded(await on_record(here.config.state / "ledger"), held)


async def _watch(here: Site, account: Account, name: str) -> None:
    while True:
        await _look(here, account, name)
        await asyncio.sleep(_LOOK)


async def _look(here: Site, account: Account, name: str) -> tuple[float, Mapping[Prefix, float]]:
    """What a line enforces, and when: of a look that takes long, it is known that it was so when it began."""
    began = time.time()
    held = await here.held(name)
    account.look(name, held, began, time.time())
    return began, held


async def _settle(here: Site) -> None:
    """Every line has answered for everything, for a while."""
    since = time.monotonic()

    async def calm() -> bool:
        nonlocal since
        lines = await here.statuses()
        if not all(_done(lines.get(name, {})) for name in here.lines):
            since = time.monotonic()
        return time.monotonic() - since > _CALM

    await here.until(calm, "every line has answered for everything", _QUIET)


def _done(line: Mapping[str, object]) -> bool:
    return line.get("state") == "up" and line.get("pending") == 0


@asynccontextmanager
async def _beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """These go on while the block runs; where one fails, the block ends."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in works]
        yield
        for task in running:
            task.cancel()


def _leaves(group: BaseExceptionGroup[Lost]) -> list[Lost]:
    found: list[Lost] = []
    for each in group.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found


def _progress(kills: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if done % _TOLD == 0 or done == kills:
            sys.stderr.write(f"{done} of {kills} kills\n")

    return tell
