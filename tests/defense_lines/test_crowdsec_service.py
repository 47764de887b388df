"""Bouncers that an operator, or the hub, has taken out of service: told nothing, and afterwards what they missed."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest

from defense_lines import Hub, Ledger
from defense_lines.ledger import Lift
from defense_lines.lines.crowdsec import Addresses, Bouncer, Bouncers, Link, recall
from defense_lines.lines.crowdsec.decision import Changes, Decision, Filters
from defense_lines.status import Service
from policy import BlockPolicy
from tests.defense_lines.bouncer_rig import KEY, NAME, eventually
from tests.defense_lines.line_rig import block, permit

NOTHING = (set[str](), set[str]())
SOON = 2.0  # seconds in which every poll is answered
LONG = 10.0  # seconds that a poll may wait: whoever is answered has not waited to the end
Out = Literal["drained", "quarantined"]
both = pytest.mark.parametrize("out", ["drained", "quarantined"])


class Story:
    """A hub, its ledger and a bouncer that polls on one connection."""

    def __init__(self, ledger: Ledger, hub: Hub, addresses: Addresses) -> None:
        self.ledger, self.hub = ledger, hub
        self.bouncers = Bouncers([], addresses, hub, ledger.posture)
        self.link = Link(lambda: None)

    async def poll(self, hold: float = 0.01, startup: bool = False) -> tuple[set[str], set[str]]:
        """What comes and what goes."""
        async with asyncio.timeout(SOON):
            told = await self.bouncers.poll(Bouncer(NAME, KEY, hold=hold), self.link, Filters(), startup)
        assert isinstance(told, Changes)
        return values(told.new), values(told.deleted)

    async def order(self) -> BlockPolicy:
        wanted = block()
        await self.ledger.append(permit(wanted))
        return wanted

    async def lift(self, lifted: BlockPolicy) -> None:
        await self.ledger.append(Lift(block=lifted.id, by="analyst:jo", reason="test"))

    async def serve(self, service: Service) -> None:
        assert await self.hub.serve(NAME, service, "analyst:jo", "test")

    async def up(self) -> None:
        """It has carried out everything."""

        async def so() -> bool:
            (status,) = self.hub.status()
            return status.pending == 0 and status.state == "up"

        async with asyncio.timeout(SOON):
            await eventually(so)


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    async with asyncio.TaskGroup() as tasks, await Ledger.open(tmp_path / "ledger") as ledger:
        addresses = Addresses()
        ledger.watch(addresses.committed)
        await recall(addresses, ledger, 86_400, time.time(), time.time())
        hub = Hub(ledger, expected=[NAME])
        running = tasks.create_task(hub.run())
        yield Story(ledger, hub, addresses)
        running.cancel()


def values(decisions: list[Decision] | None) -> set[str]:
    return {decision.value for decision in decisions or ()}


@both
async def test_out_of_service_it_is_told_nothing_and_then_what_it_missed_and_still_stands(
    story: Story, out: Out
) -> None:
    had = await story.order()
    assert await story.poll(startup=True) == ({had.target.value}, set())
    await story.poll()
    await story.serve(out)
    missed, over = await story.order(), await story.order()
    await story.lift(over)
    await story.lift(had)
    for _ in range(3):
        assert await story.poll() == NOTHING
    held = asyncio.ensure_future(story.poll(LONG))
    await asyncio.sleep(0)
    await story.serve("in_service")
    assert await held == ({missed.target.value}, {had.target.value, over.target.value})
    for _ in range(2):
        await story.poll()
    await story.up()


@both
async def test_a_poll_that_waits_goes_on_waiting_when_it_is_taken_out_of_service(story: Story, out: Out) -> None:
    for startup in (True, False):
        await story.poll(startup=startup)
    held = asyncio.ensure_future(story.poll(LONG))
    await asyncio.sleep(0)
    await story.serve(out)
    wanted = await story.order()
    await asyncio.sleep(0.02)
    assert not held.done()
    await story.serve("in_service")
    assert await held == ({wanted.target.value}, set())


@both
async def test_one_that_starts_out_of_service_is_answered_at_once_with_nothing_and_later_told_all(
    story: Story, out: Out
) -> None:
    stands = await story.order()
    await story.serve(out)
    ends = await story.order()
    assert await story.poll(LONG, startup=True) == NOTHING
    assert await story.poll() == NOTHING
    await story.lift(ends)
    await story.serve("in_service")
    assert await story.poll(LONG) == ({stands.target.value}, {ends.target.value})


async def test_what_it_was_told_before_is_proved_while_it_is_drained(story: Story) -> None:
    for startup in (True, False, False):
        await story.poll(startup=startup)
    wanted = await story.order()
    assert await story.poll(LONG) == ({wanted.target.value}, set())
    await story.serve("drained")
    assert await story.poll(LONG) == NOTHING  # at once: the poll after it proves that the block is enforced
    held = asyncio.ensure_future(story.poll(LONG))
    assert await story.hub.settled(wanted.id, 0.0) == {}  # nobody is waited for
    await story.up()
    assert not held.done()
    held.cancel()


async def test_an_answer_that_did_not_come_before_it_was_drained_is_given_again_afterwards(story: Story) -> None:
    for startup in (True, False, False):
        await story.poll(startup=startup)
    wanted = await story.order()
    assert await story.poll(LONG) == ({wanted.target.value}, set())
    await story.serve("drained")
    story.link = Link(lambda: None)
    assert await story.poll() == NOTHING
    await story.serve("in_service")
    assert await story.poll(LONG) == ({wanted.target.value}, set())


async def test_a_bouncer_that_asks_is_answered_the_truth_however_it_serves(story: Story) -> None:
    wanted = await story.order()
    await story.serve("drained")
    told = story.bouncers.ask(Bouncer(NAME, KEY), ipaddress.ip_network(wanted.target.value), True, Filters())
    assert values(told) == {wanted.target.value}
