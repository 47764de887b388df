"""A million live blocks: what each order costs does not grow with how many there are. `make test` tries 30,000."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from defense_lines import Guard, GuardLimits, Ledger, Permit
from defense_lines.ledger import Whom
from defense_lines.ledger.ends import Ends
from defense_lines.ledger.orders import KEEP, StandingOrders
from defense_lines.line import Digest
from policy import BlockPolicy, Cause, Target

MANY = 1_000_000 if os.environ.get("PORTCULLIS_PROVE") == "1" else 30_000
FEW = 3_000
FLAT = 6.0  # as many times as much it may cost at most, for more than ten times as many; machines are noisy
WHOM = Whom("line", frozenset({"address", "range"}))
CAUSE = Cause(reason="enumerates accounts", by="detector:access")


def blocks(count: int, now: float, least: float = 10_000) -> list[BlockPolicy]:
    """They end at odd times, from `least` seconds on."""
    chance = random.Random(count)
    return [
        BlockPolicy(
            id=f"b-{chance.getrandbits(64):016x}",
            target=Target("address", f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"),
            created=now,
            expires=now + least + chance.random() * 60_000,
            cause=CAUSE,
        )
        for number in range(count)
    ]


def standing(count: int, now: float) -> StandingOrders:
    orders = StandingOrders()
    for seq, each in enumerate(blocks(count, now), 1):
        orders.enforce(seq, each, now)
    return orders


def cost(call: Callable[[], object], times: int = 30) -> float:
    """Seconds of this thread's processor for one call, at its best."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        call()
        best = min(best, time.thread_time() - began)
    return max(best, 20e-6)


@pytest.mark.prove
def test_what_lines_are_told_costs_the_same_however_much_stands() -> None:
    now = time.time()
    few, many = standing(FEW, now), standing(MANY, now)
    questions: dict[str, Callable[[StandingOrders], object]] = {
        "next orders": lambda orders: orders.since(orders.last - 100, WHOM, now, 1000),
        "a page": lambda orders: orders.page(orders.last // 2, now, 500),
        "a line in step": lambda orders: orders.digest(orders.last, WHOM, now),
    }
    for name, question in questions.items():
        small, large = cost(lambda ask=question: ask(few)), cost(lambda ask=question: ask(many))  # type: ignore[misc]
        assert large < FLAT * small or large < 0.001, (name, small, large)
    assert many.digest(many.last, WHOM, now).count == MANY


@pytest.mark.prove
def test_much_that_ends_at_once_is_forgotten_little_by_little() -> None:
    now = time.time()
    orders = standing(MANY, now)
    later = now + 10_000 + 60_000 + KEEP + 1
    new = blocks(MANY + 2000, later)[-2000:]
    worst = 0.0
    for seq, each in enumerate(new, MANY + 1):
        began = time.thread_time()
        orders.enforce(seq, each, later)
        worst = max(worst, time.thread_time() - began)
    assert worst < 0.05
    assert orders.digest(orders.last, WHOM, later) == Digest.of(each.id for each in new)
    for seq, each in enumerate(blocks(MANY, later, 20_000), MANY + 3000):
        orders.enforce(seq, each, later)
    assert len(orders.seqs()) == MANY + 2000


def test_sorted_ends_equal_a_plain_list() -> None:
    chance, ends, plain = random.Random(7), Ends(), list[tuple[float, int]]()
    for _ in range(20_000):
        if plain and chance.random() < 0.4:
            pair = plain.pop(chance.randrange(len(plain)))
            ends.remove(*pair)
        else:
            pair = (float(chance.randrange(40)), chance.getrandbits(64))
            plain.append(pair)
            ends.add(*pair)
        if chance.random() < 0.02:
            time = chance.random() * 40
            left = [number for end, number in plain if end > time]
            assert ends.after(time) == (len(left), sum(left))
    ends.forget(20.0)
    left = [number for end, number in plain if end > 20.0]
    assert ends.after(20.0) == (len(left), sum(left))
    ends.remove(5.0, 123)  # not there


def permits(count: int, now: float) -> list[Permit]:
    guard = Guard(GuardLimits(blocks_per_minute=10**9))
    judged = [guard.judge(each, now) for each in blocks(count, now)]
    return [each for each in judged if isinstance(each, Permit)]


@pytest.mark.prove
async def test_a_ledger_of_as_many_opens_from_its_snapshot_and_its_loop_goes_on(tmp_path: Path) -> None:
    leaves = permits(MANY, time.time())
    async with await Ledger.open(tmp_path) as ledger:
        for start in range(0, MANY, 5000):
            await ledger.append_all(leaves[start : start + 5000])
        snapshot = asyncio.create_task(ledger.snapshot())
        waits = []
        while not snapshot.done():
            began = time.monotonic()
            await asyncio.sleep(0)
            waits.append(time.monotonic() - began)
        await snapshot
        assert sorted(waits)[len(waits) * 99 // 100] < 0.1
    began = time.process_time()
    async with await Ledger.open(tmp_path) as ledger:
        assert (time.process_time() - began) / MANY < 60e-6  # seconds of processor for each block
        assert ledger.digest(ledger.last_order, WHOM, time.time()).count == MANY
        assert ledger.last_order == MANY
