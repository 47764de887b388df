"""Step 2: an agent pays for its person, within its own limit."""

from __future__ import annotations

from typing import Any

from deploy.demo.admin import until
from deploy.demo.caller import Answer
from deploy.demo.cast import ALICE, INVOICE_BOT
from deploy.demo.claims import expect
from deploy.demo.world import World


async def agent_pays_within_its_limit(world: World) -> str:
    """50 of 200: 200. 5000: 403. Both are in the decision log with the whole chain."""
    bot = await world.agent(INVOICE_BOT, "attacker")
    world.facts["bot"] = bot
    paid = await bot.post("/payments", {"from": "1001", "to": "2000", "amount": 50})
    expect(paid.status == 200, f"a payment of 50 within the limit of 200: 200, not {paid}")
    refused = await bot.post("/payments", {"from": "1001", "to": "2000", "amount": 5000})
    expect(refused.status == 403, f"a payment of 5000 over the limit of 200: 403, not {refused}")
    expect("over_limit" in refused.reasons, f"the reason is over_limit, not {refused.reasons}")
    for answer in (paid, refused):
        await _is_logged(world, answer)
    return f"50 paid in {paid.ms:.1f} ms, 5000 refused: {refused.reasons[0]}; both logged as {INVOICE_BOT} for {ALICE}"


async def _is_logged(world: World, answer: Answer) -> None:
    async def logged() -> dict[str, Any] | None:
        newest = await world.admin.decisions(200)
        return next((decision for decision in newest if decision["id"] == answer.decision), None)

    decision = await until(f"decision {answer.decision} in the log", logged, 3)
    chain = [decision["subject"], *decision["actors"]]
    expect(chain == [ALICE, INVOICE_BOT], f"the log has the whole chain, not {chain}")
