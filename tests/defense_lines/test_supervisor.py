"""Whatever a line does — fails, answers half, goes away, lies, forgets — in the end it enforces what stands."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from defense_lines import EdgeLine, Hub, Ledger, Pace, Places, public_key, verify
from tests.defense_lines.line_rig import MemoryLine, MemoryPort, block, permit

PACE = Pace(deadline=1, listing=1, shortest=0.001, longest=0.01, reconcile=0.02)
MOODS = ["well", "away", "broken", "half", "lying", "failing", "garbage"]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 5)),
        st.tuples(st.just("lift"), st.integers(0, 9)),
        st.tuples(st.just("mood"), st.integers(0, len(MOODS) - 1)),
        st.tuples(st.just("flush"), st.integers(0, 9)),
        st.tuples(st.just("reconnect"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("pass"), st.integers(1, 20)),
    ),
    max_size=12,
)


class House:
    """A ledger, an edge, one moody line, and a hub that may be restarted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.line = MemoryLine()
        self.expected: dict[str, None] = {}

    async def start(self) -> None:
        self.ledger = await Ledger.open(self.folder)
        self.port = MemoryPort()
        self.hub = Hub(self.ledger, [EdgeLine(self.port), self.line], pace=PACE)
        self.task = asyncio.create_task(self.hub.run())

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.ledger.close()

    async def step(self, verb: str, number: int) -> None:
        if verb == "submit":
            wanted = [block() for _ in range(number)]
            await asyncio.gather(*(self.hub.submit(permit(each)) for each in wanted))
            self.expected |= {each.id: None for each in wanted}
            assert self.expected.keys() <= set(self.port.active())
        elif verb == "lift" and self.expected:
            chosen = list(self.expected)[number % len(self.expected)]
            assert await self.hub.lift(chosen, "analyst:jo", "false alarm")
            del self.expected[chosen]
        elif verb == "mood":
            self.line.mood = MOODS[number]
        elif verb == "flush":
            self.line.blocks = dict(list(self.line.blocks.items())[number:])
        elif verb == "reconnect":
            self.hub.attach(self.line)
        elif verb == "restart":
            await self.stop()
            await self.start()
        elif verb == "pass":
            await asyncio.sleep(number / 1000)

    async def settle(self) -> None:
        self.line.mood = "well"
        await self.hub.serve("memory", "in_service", "analyst:jo", "it works again")
        async with asyncio.timeout(30):
            while not (self.line.blocks.keys() == set(self.port.active()) == self.expected.keys()):  # noqa: ASYNC110
                await asyncio.sleep(0.002)


@settings(max_examples=20)
@given(steps)
def test_in_the_end_every_line_enforces_what_stands_and_nothing_else(plan: list[tuple[str, int]]) -> None:
    """After any history, once the line is well, line and edge hold exactly the blocks that stand, and the ledger
    verifies.
    """
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(plan, Path(folder)))


async def play(plan: list[tuple[str, int]], folder: Path) -> None:
    house = House(folder)
    await house.start()
    try:
        for verb, number in plan:
            await house.step(verb, number)
        await house.settle()
        assert {each.id for each in house.ledger.live(time.time())} == house.expected.keys()
    finally:
        await house.stop()
    places = Places(folder)
    assert verify(places.database, places.head, public_key(places.public_key)) == ()
