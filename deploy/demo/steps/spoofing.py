"""Step 6: a spoofed report names the core banking host as the attacker; the guard does not let it be blocked."""

from __future__ import annotations

import json
from typing import Any

from deploy.demo import firewall
from deploy.demo.admin import until
from deploy.demo.claims import expect
from deploy.demo.world import World


async def spoofed_report_is_refused(world: World) -> str:
    """The report becomes a verdict, the response orders a block, the guard refuses it with a reason on record."""
    core = world.network.core_address
    world.sensor.exploit(core, world.network.edge_address)

    async def refused() -> dict[str, Any] | None:
        return next((each for each in await world.admin.refusals() if core in json.dumps(each)), None)

    refusal = await until(f"the guard's refusal to block {core}", refused, 5)
    expect(refusal.get("reason"), f"the refusal has a reason: {refusal}")
    expect(not await world.admin.blocks_of((core,)), "no block of the core banking host stands")
    if "nftables" in world.lines:
        expect(not firewall.holds(await firewall.listing("portcullis"), core), "it is in no set of the kernel's")
    return f"the guard refused to block {core}: {refusal['reason']}"
