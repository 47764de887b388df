"""A consumer that has to be bound first is told again, and then what is left by then."""

from __future__ import annotations

import asyncio
from typing import cast

from defense_lines.agent.openc2_message import Response
from defense_lines.line import Orders
from defense_lines.lines.openc2 import OpenC2Line
from defense_lines.lines.openc2_calls import Answers, Call, Heard
from defense_lines.lines.openc2_plan import Plan, Step, plan
from defense_lines.lines.openc2_producer import Producer
from tests.defense_lines.openc2_rig import block, orders

HELD_UP = 40.0  # seconds until the refusal comes


class Unbound:
    """A producer whose consumer refuses what it is told first; by then it is later."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.asked: list[Step] = []

    def clock(self) -> float:
        return self.now

    def enrol(self, device: str) -> None:
        self.device = device

    def tell(self, device: str, told: Orders, heard: Heard) -> Call:
        planned = plan(told, self.now)
        self.now += HELD_UP
        return self.call(planned, heard, [self.answer(403, refused="session") for _ in planned.steps])

    def tell_alone(self, device: str, planned: Plan, head: str, heard: Heard) -> Call:
        self.asked += planned.steps
        return self.call(planned, heard, [self.answer(200, head=head) for _ in planned.steps])

    def call(self, planned: Plan, heard: Heard, answers: Answers) -> Call:
        asyncio.get_running_loop().call_soon(heard, planned, answers)
        return Call(self.device, planned, heard)

    def answer(self, status: int, head: str = "", refused: str = "") -> Response:
        return Response(self.device, "r-1", status, self.now, "", {}, head, refused)


async def test_a_block_ends_when_it_was_meant_to_although_its_consumer_was_asked_twice() -> None:
    told = orders(block(1, ttl=60.0))
    producer = Unbound(told.time)
    receipts = await OpenC2Line("fw-1", cast("Producer", producer)).carry_out(told)
    (step,) = producer.asked
    assert 19_000 < step.command["args"]["duration"] <= 20_000  # milliseconds
    assert receipts.notes == ()


async def test_what_has_ended_meanwhile_is_not_told_again() -> None:
    told = orders(block(1, ttl=30.0))
    producer = Unbound(told.time)
    receipts = await OpenC2Line("fw-1", cast("Producer", producer)).carry_out(told)
    assert producer.asked == []
    assert [note.outcome for note in receipts.notes] == ["expired"]
