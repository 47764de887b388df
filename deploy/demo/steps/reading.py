"""Step 1: who may read an account, and who may not."""

from __future__ import annotations

from deploy.demo.cast import ALICE
from deploy.demo.claims import expect
from deploy.demo.world import World


async def person_reads_her_account(world: World) -> str:
    """Her own: 200. No token: 401 with a challenge. Another customer's: 403 with reason and decision id."""
    alice, nobody = await world.person(ALICE), world.caller("branch")
    own = await alice.get("/accounts/1001")
    expect(own.status == 200 and own.body.get("owner") == ALICE, f"she reads her account: 200, not {own}")
    expect(own.decision, "the answer names its decision")
    unknown = await nobody.get("/accounts/1001")
    expect(unknown.status == 401, f"no token: 401, not {unknown}")
    challenge = unknown.headers.get("www-authenticate", "")
    expect(challenge.startswith("Bearer"), f"a 401 carries a Bearer challenge, not {challenge!r}")
    foreign = await alice.get("/accounts/1002")
    expect(foreign.status == 403, f"another customer's account: 403, not {foreign}")
    expect(foreign.reasons and foreign.decision, f"a 403 has reason and decision id, not {foreign.body}")
    told = f"own 200 in {own.ms:.1f} ms, no token 401, foreign 403 {foreign.reasons[0]} ({foreign.decision})"
    batch = await world.workload().get("/accounts/3000")
    expect(batch.status == 200, f"the bank's batch workload reads by its certificate: 200, not {batch}")
    return f"{told}; workload by X.509-SVID 200; after rotation of the issuer's key {await _after_rotation(world)}"


async def _after_rotation(world: World) -> str:
    kid = await world.tokens.rotate()
    fresh = await world.person(ALICE)
    again = await fresh.get("/accounts/1001")
    expect(again.status == 200, f"a token under the rotated key {kid} counts: 200, not {again}")
    return "200"
