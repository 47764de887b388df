"""Step 3: her statements, another customer's, and the agent's gRPC watch are live."""

from __future__ import annotations

from deploy.demo.admin import until
from deploy.demo.cast import ALICE, BOB, INVOICE_BOT
from deploy.demo.claims import expect
from deploy.demo.world import World


async def streams_are_live(world: World) -> str:
    """Two persons' server-sent events and the agent's gRPC stream flow, and the gateway knows all three."""
    for person, account in ((ALICE, "1001"), (BOB, "1002")):
        caller = await world.person(person)
        world.streams[person] = await caller.stream(f"/streams/accounts/{account}")
    watch = await world.watch(INVOICE_BOT, "1001", "attacker")

    async def flowing() -> bool:
        return all(len(stream.arrivals) >= 3 for stream in world.streams.values())

    await until("three statements on each stream", flowing, 5)
    expect(await watch.flows(3, 10), f"the agent's watch flows, not {watch.code} {watch.words}")

    async def known() -> bool:
        return len(await world.admin.sessions()) >= 3

    await until("three live sessions in the gateway", known, 3)
    return f"{ALICE}, {BOB} (server-sent events) and {INVOICE_BOT} (gRPC) are live sessions"
