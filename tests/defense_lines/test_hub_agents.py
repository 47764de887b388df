"""A hub and real agents: one that takes long to say what it enforces is told all the same; one that comes back is not
asked by its dead connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from defense_lines import Hub, Ledger, LineStatus, Pace
from defense_lines.agent.actuation import Listing, Memory
from defense_lines.agent.protocol import Audit, Hello, InStep, Orders, Receipts, Unable
from defense_lines.line import Digest
from defense_lines.lines.remote import Followed, RemoteLine, RemoteLines
from policy import BlockPolicy
from tests.defense_lines.agent_rig import PATIENCE, Gateway, agent, local
from tests.defense_lines.line_rig import block, permit
from tests.defense_lines.test_remote_line import peer

PACE = Pace(deadline=PATIENCE, listing=PATIENCE, shortest=0.01, longest=0.05, reconcile=0.05)


class SlowFirewall(Memory):
    """Lists what it blocks at the first call, and then only when it is let."""

    waits = True

    def __init__(self) -> None:
        super().__init__()
        self.listings = 0
        self.go = threading.Event()

    def listing(self) -> Listing:
        self.listings += 1
        if self.listings > 1:
            self.go.wait(PATIENCE)
        return Listing(dict(self.ends))


@contextlib.asynccontextmanager
async def house(tmp_path: Path, pace: Pace = PACE) -> AsyncIterator[tuple[Hub, Gateway]]:
    """A hub whose lines are agents that connect to a socket."""
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        hub, gateway = Hub(ledger, pace=pace), Gateway(tmp_path / "lines.sock")
        gateway.lines = RemoteLines(Followed("ledger", lambda: ledger.last_order), hub.attach, hub.detach)
        running = asyncio.create_task(hub.run())
        try:
            async with gateway.listening():
                yield hub, gateway
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 the agent under test tells nobody
            await asyncio.sleep(0.002)


async def submit(hub: Hub) -> BlockPolicy:
    return await hub.submit(permit(block()))


def status_of(hub: Hub) -> LineStatus:
    (status,) = hub.status()
    return status


async def test_a_line_is_told_while_it_is_asked_what_it_enforces(tmp_path: Path) -> None:
    firewall = SlowFirewall()
    async with house(tmp_path) as (hub, gateway), agent(tmp_path, local(gateway), firewall):
        await until(lambda: firewall.listings > 1)  # it is being asked
        first, second = await submit(hub), await submit(hub)
        for each in (first, second):
            assert await hub.settled(each.id, PATIENCE) == {"nftables": "enforced"}
        assert len(firewall.ends) == 2
        asked = firewall.listings
        firewall.go.set()
        await until(lambda: firewall.listings > asked + 1)
        assert (status_of(hub).drifted, status_of(hub).foreign) == (0, ())


async def test_an_order_does_not_overtake_the_question_before_it(tmp_path: Path) -> None:
    """Else what stands is more than was asked about, and the line answers with the ids of all of it."""
    answers: list[Sequence[str] | None] = []

    def attach(hub: Hub, line: RemoteLine) -> None:
        ask = line.active

        async def active(unless: Digest, time: float) -> Sequence[str] | None:
            answers.append(await ask(unless, time))
            return answers[-1]

        line.active = active  # type: ignore[method-assign]
        hub.attach(line)

    async with house(tmp_path, replace(PACE, reconcile=0.0)) as (hub, gateway):
        ledger = gateway.lines.ledger
        gateway.lines = RemoteLines(ledger, lambda line: attach(hub, line), hub.detach)
        async with agent(tmp_path, local(gateway), Memory()):
            for _ in range(100):
                await asyncio.gather(submit(hub), submit(hub))
            await until(lambda: status_of(hub).enforced == 200)
    assert len(answers) > 20
    assert answers == [None] * len(answers)


async def test_a_line_that_comes_back_is_told_and_asked_at_once(tmp_path: Path) -> None:
    hello = Hello(("address",), None, 0, time.time())
    async with house(tmp_path) as (hub, gateway), peer(gateway, hello) as dead:
        assert isinstance(await dead.heard.get(), Audit)  # and nobody will ever answer
        async with peer(gateway, hello) as back, asyncio.timeout(PATIENCE / 5):
            assert isinstance(await back.heard.get(), Audit)
            await submit(hub)
            orders = await back.heard.get()
            assert isinstance(orders, Orders)
            back.say(Receipts(time.time(), 0.1, orders.head))
            await until(lambda: status_of(hub).enforced == 1)


async def test_an_agent_whose_disk_is_full_is_told_again_after_growing_pauses_and_asked_nothing(tmp_path: Path) -> None:
    hello = Hello(("address",), None, 0, time.time())
    pace = replace(PACE, reconcile=PATIENCE)
    async with house(tmp_path, pace) as (hub, gateway), peer(gateway, hello) as full:
        assert isinstance(await full.heard.get(), Audit)  # not answered until its orders were not taken
        await submit(hub)
        heard, states = list[object](), set[str]()
        for number in range(12):
            heard.append(await asyncio.wait_for(full.heard.get(), PATIENCE))
            full.say(Unable("No space left"))
            if number == 3:
                full.say(InStep())  # what it says on the way is no sign that it can write again
            if number:
                states.add(status_of(hub).state)
        assert [type(each) for each in heard] == [Orders] * 12
        assert states == {"away"}


@pytest.mark.parametrize("asked", [Audit, Orders])
@pytest.mark.parametrize("nonsense", [Hello((), None, 0, 0.0), Receipts(1.0, 0.1, "another"), "no message"])
async def test_an_agent_that_answers_nonsense_is_counted_once_each_time_and_quarantined(
    tmp_path: Path, asked: type, nonsense: object
) -> None:
    before = broken_answers()
    async with house(tmp_path) as (hub, gateway):
        if asked is Orders:
            await submit(hub)
        for number in range(1, PACE.broken + 1):
            async with peer(gateway, Hello(("address",), None, 0, time.time())) as liar:
                assert isinstance(await liar.heard.get(), asked)
                liar.say(nonsense)
                await liar.lost.wait()
            await until(lambda: status_of(hub).state == "away")
            assert broken_answers() - before == number
        await until(lambda: status_of(hub).service == "quarantined")


def broken_answers() -> float:
    return REGISTRY.get_sample_value("portcullis_defense_lines_broken_answers_total", {"line": "nftables"}) or 0.0
