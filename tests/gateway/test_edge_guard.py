"""The guard at the real edge: a canary that harms good callers is taken back, one that harms nobody goes to all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from defense_lines import Blocked, Concluded, Lift, Staged
from gateway.config import Config, Edge, Guard
from gateway.operations import GatewayOperations
from policy import Cause, TargetKind
from tests.gateway.edge_rig import until
from tests.gateway.front import Front, front

SHARED = "203.0.113.7"  # a small office
OFFICE, OTHERS = 8, 16
ACT = {"sub": "agent:tool", "act": {"sub": "agent:orchestrator"}}
CAUSE = Cause(reason="scans", by="detector:flow", verdict="v-1")


def _proxied(config: Config) -> Edge:
    return config.edge.model_copy(update={"trusted_proxies": ("127.0.0.1/32",)})


def _watchful(config: Config) -> Guard:
    return config.guard.model_copy(update={"watch_seconds": 4})


class Bank:
    """People who ask, again and again: eight from an office, the others from where each is."""

    def __init__(self, edge: Front, acting: bool = False) -> None:
        self.edge = edge
        self.operations = GatewayOperations(edge.gateway)
        self.statuses: dict[str, int] = {}  # of the latest request of each
        people = OFFICE + OTHERS
        self._tokens = {f"p{number}": edge.issuer.token(sub=f"p{number}") for number in range(people)}
        self._tokens |= {who: edge.issuer.token(sub=who, act=ACT) for who in OFFICERS} if acting else {}
        self._from = {f"p{n}": SHARED if n < OFFICE else f"198.51.100.{n}" for n in range(people)}

    async def ask(self, who: str) -> None:
        shown = {"authorization": f"Bearer {self._tokens[who]}", "x-forwarded-for": self._from[who]}
        self.statuses[who], _ = await self.edge.get(shown=shown)

    async def come(self, who: list[str]) -> None:
        """Until cancelled."""
        while True:
            await asyncio.gather(*map(self.ask, who))
            await asyncio.sleep(0.05)

    def passed(self, who: list[str]) -> bool:
        return all(self.statuses.get(one) == 200 for one in who)

    def stands(self, lines: list[list[str]]) -> Callable[[], Awaitable[bool]]:
        """Whether these blocks stand, each by the lines that it is for."""

        async def found() -> bool:
            return [block["lines"] async for page in self.operations.blocks() for block in page] == lines

        return found

    async def block(self, kind: TargetKind = "address", value: str = SHARED) -> dict[str, Any]:
        blocking = self.edge.gateway.guarding.blocking
        return await blocking.block(kind, value, 600, CAUSE, time.time())

    async def recorded(self) -> list[Any]:
        kinds = ("block", "staged", "concluded", "lift")
        return [entry.record for entry in await self.edge.gateway.ledger.since(0, kinds=kinds)]


OFFICERS = [f"p{number}" for number in range(OFFICE)]
EVERYBODY = [f"p{number}" for number in range(OFFICE + OTHERS)]


@asynccontextmanager
async def bank(acting: bool = False) -> AsyncIterator[Bank]:
    """`acting`: those of the office have an agent act for them, behind which is another."""
    async with front(edge=_proxied, guard=_watchful) as edge:
        for agent in ("agent:tool", "agent:orchestrator"):
            await edge.register(agent)
        yield Bank(edge, acting)


async def test_a_block_that_harms_good_callers_is_taken_back() -> None:
    async with bank() as served, asyncio.TaskGroup() as tasks:
        coming = tasks.create_task(served.come(EVERYBODY))
        await until(lambda: served.passed(EVERYBODY), "everybody is known")
        answer = await served.block()
        assert (answer["outcome"], answer["lines"]) == ("canary", ["edge"])
        blocked = time.monotonic()
        await until(lambda: not served.passed(OFFICERS), "the office is refused")
        await until(served.stands([]), "the block is taken back")
        assert time.monotonic() - blocked < 4  # not at the end of its watch, but when it harmed
        await until(lambda: served.passed(EVERYBODY), "the office is let in again")
        coming.cancel()
        staged, block, lift, concluded = await served.recorded()
        assert isinstance(staged, Staged)
        assert isinstance(block, Blocked)
        assert isinstance(lift, Lift)
        assert isinstance(concluded, Concluded)
        assert {staged.block, lift.block, concluded.block} == {block.block} == {answer["block"]}
        assert (lift.by, concluded.outcome) == ("guard:harm", "harm")
        assert lift.reason == concluded.reason
        assert lift.reason.startswith("refused ")
        assert lift.reason.endswith(" good callers, 4 are borne")
        again = await served.block()
        assert (again["outcome"], again["rule"]) == ("held", "rolled_back")


async def test_a_canary_that_harms_nobody_goes_to_all_lines() -> None:
    async with bank() as served:
        await asyncio.gather(*map(served.ask, EVERYBODY))
        assert served.passed(EVERYBODY)
        async with asyncio.TaskGroup() as tasks:
            coming = tasks.create_task(served.come(EVERYBODY[OFFICE:]))  # the office has gone home
            answer = await served.block()
            assert answer["outcome"] == "canary"
            await until(served.stands([[]]), "it is on all lines")
            coming.cancel()
        staged, canary, whole, concluded, lift = await served.recorded()
        assert (staged.block, canary.block, concluded.block, lift.block) == (answer["block"],) * 4
        assert (canary.policy.lines, concluded.outcome, concluded.follows) == (("edge",), "promoted", whole.block)
        assert (lift.by, lift.reason) == ("guard:canary", f"promoted {whole.block}")
        assert whole.policy.expires == canary.policy.expires
        await served.ask("p0")
        assert served.statuses["p0"] == 403


async def test_an_agent_behind_the_one_that_acts_is_measured_and_watched_too() -> None:
    async with bank(acting=True) as served, asyncio.TaskGroup() as tasks:
        coming = tasks.create_task(served.come(EVERYBODY))
        await until(lambda: served.passed(EVERYBODY), "everybody is known")
        answer = await served.block("actor", "agent:orchestrator")
        assert answer["outcome"] == "canary"
        await until(lambda: not served.passed(OFFICERS), "those whom it acts for are refused")
        await until(served.stands([]), "the block is taken back")
        coming.cancel()
        assert (await served.recorded())[-1].reason.endswith(" good callers, 4 are borne")
