"""Step 7: an analyst changes the policy of the running system, and a named operator breaks the glass."""

from __future__ import annotations

import shutil
import time

from deploy.demo import firewall
from deploy.demo.admin import enforcing, until
from deploy.demo.caller import reaches
from deploy.demo.cast import ALICE, HERE, LEDGER_BOT
from deploy.demo.claims import expect
from deploy.demo.world import World

TIGHTENED = HERE / "policies" / "tightened.rego"  # agents may hold no live stream
BROKEN = HERE / "policies" / "broken.rego"
BROKEN_LINE = 7


async def analyst_tightens_policy(world: World) -> str:
    """A tightened policy is live within two seconds and ends what it forbids; a broken one changes nothing."""
    live = await _tighten(world)
    problem = await _break(world)
    return (
        f"tightened in {live:.0f} ms, its stream ended; broken policy refused: {problem}; {await _break_glass(world)}"
    )


async def _tighten(world: World) -> float:
    watch = await world.watch(LEDGER_BOT, "3000", "agents")
    expect(await watch.flows(3, 10), f"the honest agent's watch flows, not {watch.code} {watch.words}")
    before = (await world.admin.status())["revision"]
    shutil.copy(TIGHTENED, world.run.folder / "policy")
    began = time.time()
    answer = await world.admin.reload_policy()
    expect("problems" not in answer, f"the tightened policy is accepted: {answer}")
    expect(answer["revision"] != before, f"its revision is a new one, not {before}")
    expect(await watch.ends(2), "the stream that it forbids ends")
    took = (watch.ended - began) * 1000
    expect(took < 2000, f"within two seconds: {took:.0f} ms")
    expect(world.streams[ALICE].unbroken(), "the stream that it does not forbid lives on")
    again = await world.watch(LEDGER_BOT, "3000", "agents")
    expect(await again.ends(10) and not again.arrivals, "a new stream of an agent is refused")
    return took


async def _break(world: World) -> str:
    before = (await world.admin.status())["revision"]
    shutil.copy(BROKEN, world.run.folder / "policy")
    answer = await world.admin.reload_policy()
    problems = answer.get("problems", [])
    expect(problems, f"a broken policy is refused: {answer}")
    first = problems[0]
    expect(first["file"].endswith(BROKEN.name), f"the problem names its file: {first}")
    expect(first["line"] == BROKEN_LINE, f"the problem names line {BROKEN_LINE}: {first}")
    expect((await world.admin.status())["revision"] == before, "the old policy stays")
    (world.run.folder / "policy" / BROKEN.name).unlink()
    alice = await world.person(ALICE)
    own = await alice.get("/accounts/1001")
    expect(own.status == 200, f"the old policy still judges: 200, not {own}")
    return f"{BROKEN.name}:{first['line']}:{first['column']} {first['message']}"


async def _break_glass(world: World) -> str:
    """The scanner turns out to be an announced test: the operator on duty lifts its block, in her own name."""
    scanner = world.network.hosts["scanner"]
    blocks = await world.admin.blocks_of((scanner.address,))
    expect(blocks, "the scanner's block stands")
    reason = "announced penetration test, change 4711"
    for block in blocks:
        lifted = await world.admin.lift(block["id"], "jo", reason)
        expect(lifted.get("outcome") == "lifted", f"the block is lifted: {lifted}")
        await _is_lifted(world, block["id"], reason)
    if "nftables" in world.lines:
        arrives = await reaches(scanner, world.network.edge_address, world.run.ports.edge)
        expect(arrives, "the scanner's packets arrive again")
        listed = await firewall.listing("portcullis")
        expect(not firewall.holds(listed, scanner.address), "its address is in no set of the kernel's")
    return f"jo lifted {len(blocks)} block of {scanner.address}, on record"


async def _is_lifted(world: World, block: str, reason: str) -> None:
    async def everywhere() -> bool:
        story = await world.admin.story(block)
        return not enforcing(story) and reason in str(story)

    await until("the lift is carried out on every line and on record with its reason", everywhere, 5)
