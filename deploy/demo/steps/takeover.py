"""Step 4: the agent is taken over, enumerates accounts, and is stopped on every line; nobody else notices."""

from __future__ import annotations

import asyncio
import time

from deploy.demo import firewall
from deploy.demo.admin import until
from deploy.demo.attack import Stopped, Traffic, blocks_enforced, enumerate_accounts, send
from deploy.demo.caller import Caller, reaches
from deploy.demo.cast import ALICE, BOB, CAROL, CAROLS, FOREIGN, INVOICE_BOT, LEDGER_BOT
from deploy.demo.claims import expect
from deploy.demo.world import World

STUTTER_SECONDS = 0.5  # statements come every 50 ms; a longer silence than this is a stutter
HONEST_BEFORE = 1.0  # seconds the honest agent is at work before the attack, and after


async def agent_is_taken_over(world: World) -> str:
    """Attack beside honest work: stopped on every line, its stream cut, others' streams whole, honest work done."""
    honest, began = Traffic(), time.time()
    ending = asyncio.Event()
    batch = await world.agent(LEDGER_BOT, "agents")
    bot: Caller = world.facts["bot"]
    async with asyncio.TaskGroup() as group:
        group.create_task(send(batch, CAROLS, ending, honest, seed=2))
        await asyncio.sleep(HONEST_BEFORE)
        attack = await enumerate_accounts(bot, FOREIGN, seed=1)
        try:
            stopped = await _blocked(world)
            await asyncio.sleep(HONEST_BEFORE)
        finally:
            ending.set()
    world.facts["attack_to_block_ms"] = (stopped.last_receipt - attack.first) * 1000
    world.facts["lines"] = stopped.lines
    expect(not any(answer.status == 200 for answer in attack.answers), "no foreign account was ever answered")
    cut = await _stream_was_cut(world)
    packets = await _nothing_arrives(world)
    await _nobody_else_notices(world, honest, began)
    gaps = max(world.streams[person].longest_gap(began) for person in (ALICE, BOB)) * 1000
    return (
        f"{len(attack.answers)} requests; last receipt {world.facts['attack_to_block_ms']:.0f} ms after the first; "
        f"stream cut {cut:.1f} ms after the verdict; {packets}; {len(honest.answers)} honest requests all 200; "
        f"longest gap in others' streams {gaps:.0f} ms"
    )


async def _blocked(world: World) -> Stopped:
    address = world.network.hosts["attacker"].address
    return await blocks_enforced(world.admin, (INVOICE_BOT, address), world.lines, 5)


async def _stream_was_cut(world: World) -> float:
    watch = world.watches[INVOICE_BOT]
    expect(await watch.ends(3), "the agent's live stream is cut")
    expect(watch.code not in ("OK", "CHILD_DIED"), f"its stream ended with an error, not {watch.code}")

    async def arrived() -> float | None:
        mine = [each for each in await world.admin.verdicts() if INVOICE_BOT in (each["subject"], each["session"])]
        return min((float(each["received"]) for each in mine), default=None)

    cut = (watch.ended - await until("the verdict on the agent", arrived, 3)) * 1000
    world.facts["signal_to_cut_ms"] = cut
    return float(cut)


async def _nothing_arrives(world: World) -> str:
    elsewhere = await world.agent(INVOICE_BOT, "agents")
    refused = await elsewhere.get("/accounts/1001")
    expect(refused.status == 403 and "blocked" in refused.reasons, f"its next request is refused, not {refused}")
    if "nftables" not in world.lines:
        return "refused at the edge"
    attacker = world.network.hosts["attacker"]
    arrives = await reaches(attacker, world.network.edge_address, world.run.ports.edge)
    expect(not arrives, "packets from the attacker's address no longer arrive")
    listed = await firewall.listing("portcullis")
    expect(firewall.holds(listed, attacker.address), "the address is in the kernel's set")
    return f"{firewall.dropped(listed)} of its packets dropped by the kernel"


async def _nobody_else_notices(world: World, honest: Traffic, since: float) -> None:
    wrong = [answer for answer in honest.answers if answer.status != 200]
    expect(not wrong, f"the honest agent is never refused: {len(wrong)} of {len(honest.answers)}, first {wrong[:1]}")
    agents = world.network.hosts["agents"].address
    hit = await world.admin.blocks_of((LEDGER_BOT, CAROL, ALICE, BOB, agents))
    expect(not hit, f"no block hits the honest: {hit}")
    for person in (ALICE, BOB):
        stream = world.streams[person]
        expect(stream.unbroken(), f"{person}'s stream is whole: {stream.why or stream.sequences[-3:]}")
        gap = stream.longest_gap(since)
        expect(gap < STUTTER_SECONDS, f"{person}'s stream never stutters: a gap of {gap * 1000:.0f} ms")
