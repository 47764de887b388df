"""Step 5: what an endpoint agent and a branch sensor report changes what happens at the edge and on every line."""

from __future__ import annotations

import time

from deploy.demo.admin import until
from deploy.demo.attack import blocks_enforced
from deploy.demo.caller import Answer, Caller, reaches
from deploy.demo.cast import STRONG, TINA
from deploy.demo.claims import expect
from deploy.demo.sensors import credential_dump, publish
from deploy.demo.world import World

PAYMENT = {"from": "2001", "to": "2002", "amount": 25}


async def sensors_report(world: World) -> str:
    """Credentials dumped on a teller's laptop: her next payment asks for a step-up. A scanner: blocked everywhere."""
    return f"{await _teller_at_risk(world)}; {await _scanner(world)}"


async def _teller_at_risk(world: World) -> str:
    tina = await world.person(TINA)
    before = await tina.post("/payments", PAYMENT)
    expect(before.status == 200, f"the teller pays within her limit: 200, not {before}")
    reported = time.time()
    await publish(world.run.ports.broker, credential_dump("laptop-tina", TINA, reported))
    asked = await _asked_to_step_up(tina)
    took = (time.time() - reported) * 1000
    challenge = asked.headers.get("www-authenticate", "")
    named = "insufficient_user_authentication" in challenge and STRONG in challenge
    expect(named, f"a step-up challenge (RFC 9470) that names {STRONG}, not {challenge!r}")
    stronger = await (await world.person(TINA, acr=STRONG)).post("/payments", PAYMENT)
    expect(stronger.status == 200, f"after a strong authentication she pays: 200, not {stronger}")
    return f"step-up asked {took:.0f} ms after the report over MQTT, and paid after it"


async def _asked_to_step_up(tina: Caller) -> Answer:
    async def asked() -> Answer | None:
        answer = await tina.post("/payments", PAYMENT)
        return answer if answer.status != 200 else None

    answer = await until("the teller's next payment is not simply paid", asked, 5)
    assert isinstance(answer, Answer)
    expect(answer.status == 401, f"her next payment asks for a step-up: 401, not {answer}")
    return answer


async def _scanner(world: World) -> str:
    scanner = world.network.hosts["scanner"]
    reported = time.time()
    alerts = world.sensor.scan(scanner.address, world.network.core_address)
    stopped = await blocks_enforced(world.admin, (scanner.address,), world.lines, 5)
    if "nftables" in world.lines:
        arrives = await reaches(scanner, world.network.edge_address, world.run.ports.edge)
        expect(not arrives, "the scanner's packets no longer arrive")
    took = (stopped.last_receipt - reported) * 1000
    return f"scanner {scanner.address} blocked on {', '.join(stopped.lines)} {took:.0f} ms after {alerts} EVE lines"
