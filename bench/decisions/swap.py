"""How long does the longest decision wait while a revision is read, compiled and put live under load?"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from bench.decisions.case import Case
from bench.decisions.requests import requests
from bench.decisions.timing import settle
from bench.result import CannotRun
from gateway.config import Policy
from gateway.policies import Policies
from policy import Pdp

RATE = 10_000  # decisions a second
TICK = 0.001  # seconds between looks at the clock
SWAPS = 5


async def stalls(case: Case, folder: Path, seconds: float = 2.0) -> tuple[float, float]:
    """Milliseconds from when a decision was due until it was there, the longest: with nothing else going on, and with
    revisions swapped. The gateway's own reload does it. Raises CannotRun for a refused policy or a failed decision.
    """
    paths = _written(case, folder)
    policies = await Policies.load(Policy(paths=(paths[0],), data=paths[1]))
    settle()
    calm, busy = _Load(policies.pdp, len(case.data["principals"])), _Load(policies.pdp, len(case.data["principals"]))
    async with calm:
        await asyncio.sleep(seconds)
    async with busy:
        for number in range(SWAPS):
            await _swap(policies, paths[0], number)
            await asyncio.sleep(seconds / SWAPS)
    return calm.longest * 1000, busy.longest * 1000


def _written(case: Case, folder: Path) -> tuple[Path, Path]:
    rules, data = folder / "rules", folder / "data.json"
    rules.mkdir(parents=True)
    for name, source in case.sources.items():
        (rules / Path(name).name).write_text(source)
    data.write_text(json.dumps(case.data))
    return rules, data


async def _swap(policies: Policies, rules: Path, number: int) -> None:
    (rules / "number.rego").write_text(f"package bench.swap\n\nnumber := {number}\n")
    before = policies.pdp.revision
    if problems := await policies.reload():
        raise CannotRun(f"a revision was refused: {problems[0]}")
    if policies.pdp.revision == before:
        raise CannotRun("the revision is the same after a swap")


class _Load:
    """Decides at a steady rate in a task of its own for as long as the block lasts."""

    def __init__(self, pdp: Pdp, principals: int):
        self.longest = 0.0  # seconds
        self._pdp = pdp
        self._requests = [request for _, request in requests(principals)]

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        start, count = time.perf_counter(), 0
        while True:
            for number in range(count, int((time.perf_counter() - start) * RATE)):
                self._decide(number)
                self.longest = max(self.longest, time.perf_counter() - start - number / RATE)
                count = number + 1
            await asyncio.sleep(TICK)

    def _decide(self, number: int) -> None:
        decision = self._pdp.decide(self._requests[number % len(self._requests)])
        if "policy_error" in decision.reasons:
            raise CannotRun("a decision failed")
