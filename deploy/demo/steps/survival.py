"""Step 8: the gateway is killed while blocks stand. Nothing passes meanwhile, and no block is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import aiohttp

from deploy.demo import firewall
from deploy.demo.admin import enforcing, until
from deploy.demo.caller import Caller, reaches
from deploy.demo.cast import ALICE, BOB, INVOICE_BOT
from deploy.demo.claims import expect
from deploy.demo.world import OPENC2_TABLE, World

PROBE_SECONDS = 0.01
LONGEST_GAP = 20.0


async def gateway_is_killed(world: World) -> str:
    """SIGKILL; probe through the gap; afterwards every block stands on every line that had it."""
    alice = await world.person(ALICE)
    bot = await world.agent(INVOICE_BOT, "agents")
    before = await _enforced(world)
    expect(before, "blocks stand before the gateway dies")
    pid = int((await world.admin.status())["pid"])
    judged = (await _audit(world))["judged"]
    os.kill(pid, signal.SIGKILL)
    killed = time.time()
    refused, passed_bot = await _probe(alice, bot, killed)
    gap = (time.time() - killed) * 1000
    world.facts["gap_ms"] = gap
    expect(not passed_bot, "the blocked agent never passes, not even first after the restart")
    await _nothing_passed(world, judged)
    ended = _streams_ended(world, killed)
    await _reconciled(world, pid, before)
    await _still_stopped(world)
    return (
        f"nothing passed for {gap:.0f} ms ({refused} probes refused, live streams ended after {ended:.0f} ms); "
        f"{len(before)} blocks stand again on every line"
    )


async def _audit(world: World) -> dict[str, int]:
    """The bank's own count of what reached it, asked behind the edge's back."""
    address = f"http://127.0.0.1:{world.run.ports.http}/audit/unjudged"
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        counted: dict[str, int] = await response.json()
        return counted


async def _nothing_passed(world: World, before: int) -> None:
    now = await _audit(world)
    expect(now["judged"] == before + 1, f"the bank saw her one request after the gap: {now['judged'] - before}")
    expect(now["unjudged"] == 0, f"nothing ever reached the bank unjudged: {now['unjudged']}")


def _streams_ended(world: World, killed: float) -> float:
    """Milliseconds after which the last of the persons' live streams ended."""
    for person in (ALICE, BOB):
        expect(not world.streams[person].live, f"{person}'s stream does not go on unwatched")
    return max(world.streams[person].ended - killed for person in (ALICE, BOB)) * 1000


async def _probe(alice: Caller, bot: Caller, killed: float) -> tuple[int, bool]:
    """Probe as a person and as the blocked agent until she passes again: refusals, and whether the agent passed."""
    refused, passed_bot = 0, False
    while time.time() < killed + LONGEST_GAP:
        hers, its = await asyncio.gather(alice.get("/accounts/1001"), bot.get("/accounts/1001"))
        passed_bot = passed_bot or its.status == 200
        if hers.status == 200:
            return refused, passed_bot
        refused += 1
        expect(hers.status in (0, 403, 503), f"the edge refuses while the gateway is gone, not {hers}")
        await asyncio.sleep(PROBE_SECONDS)
    expect(False, f"the gateway is back within {LONGEST_GAP:g} s")
    return refused, passed_bot


async def _enforced(world: World) -> dict[str, set[str]]:
    """Each standing block with the lines that enforce it."""
    stories: dict[str, Any] = {
        block["id"]: await world.admin.story(block["id"]) for block in await world.admin.blocks()
    }
    return {block: enforcing(story) for block, story in stories.items()}


async def _reconciled(world: World, old: int, before: dict[str, set[str]]) -> None:
    async def whole() -> bool:
        if int((await world.admin.status())["pid"]) == old:
            return False
        after = await _enforced(world)
        return all(after.get(block, set()) >= lines for block, lines in before.items())

    await until("every block stands on every line again", whole, 10)


async def _still_stopped(world: World) -> None:
    if "nftables" not in world.lines:
        return
    attacker = world.network.hosts["attacker"]
    arrives = await reaches(attacker, world.network.edge_address, world.run.ports.edge)
    expect(not arrives, "packets from the attacker's address still do not arrive")
    for table in ("portcullis", OPENC2_TABLE) if "openc2" in world.lines else ("portcullis",):
        expect(firewall.holds(await firewall.listing(table), attacker.address), f"it is still in the table {table}")
