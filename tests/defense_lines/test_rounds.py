"""Sparse orders go at once; a flood's go together, and none is forgotten."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from defense_lines import Pace
from defense_lines.agent.actuation import Memory, Until
from defense_lines.agent.prefix import Prefix
from defense_lines.rounds import EVERY, FREE, Rounds
from tests.defense_lines.agent_rig import PATIENCE, agent, local
from tests.defense_lines.test_hub_agents import house, submit, until

CALM = Pace(deadline=PATIENCE, listing=PATIENCE)  # nobody is asked in between


class Line(Memory):
    """Counts the batches that it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def change(self, changes: Mapping[Prefix, Until | None], fresh: bool = False) -> Mapping[Prefix, str]:
        self.batches += 1
        return super().change(changes, fresh)


def begun(rounds: Rounds, wanted: list[float]) -> list[float]:
    """When rounds begin that are wanted at these times."""
    times, last = list[float](), float("-inf")
    for want in wanted:
        last = max(want, last, rounds.due())
        rounds.begin(last)
        times.append(last)
    return times


gaps = st.lists(st.floats(0, 0.2), max_size=200)


@given(gaps)
def test_a_flood_is_gathered(between: list[float]) -> None:
    wanted = list(itertools.accumulate(between))
    times = begun(Rounds(), wanted)
    assert times == sorted(times)
    for number, start in enumerate(times):
        later = times[number + FREE + 1 :]
        assert all(end - start >= (many + 1) * EVERY - 1e-9 for many, end in enumerate(later))


@given(st.lists(st.floats(EVERY * 1.001, 10), max_size=100), st.integers(0, FREE))
def test_what_is_no_flood_is_told_at_once(between: list[float], burst: int) -> None:
    wanted = [*([0.0] * burst), *itertools.accumulate(between, initial=EVERY)]
    assert begun(Rounds(), wanted) == wanted


async def test_a_line_in_a_flood_is_told_some_orders_together_and_all_of_them(tmp_path: Path) -> None:
    line = Line()
    async with house(tmp_path, CALM) as (hub, gateway), agent(tmp_path, local(gateway), line):
        await until(lambda: "up" in hub.states().values())
        begin, before = asyncio.get_running_loop().time(), line.batches
        for _ in range(200):
            await submit(hub)
        await until(lambda: len(line.ends) == 200)
        took = asyncio.get_running_loop().time() - begin
    assert line.batches - before <= FREE + 2 + took / EVERY
