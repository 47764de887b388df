"""A foreign consumer's rules have numbers that only their answers tell, and an answer may come late or never."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from defense_lines import Hub, Ledger, Pace
from defense_lines.agent.openc2_command import read_command
from defense_lines.agent.openc2_message import Response, response
from defense_lines.line import LineUnavailable
from defense_lines.lines.openc2_foreign import LATE, ForeignLine
from defense_lines.lines.openc2_plan import Step
from defense_lines.lines.openc2_producer import Producer
from tests.defense_lines.line_rig import permit
from tests.defense_lines.openc2_rig import KEY, STRAY, block, counted, mosquitto, orders, running, tap

ONE, TWO = "198.51.100.1", "198.51.100.2"


class Consumer:
    """A producer, and behind it a consumer that obeys each command, and whose answer may be late, or lost."""

    def __init__(self, takes: float = 0.0) -> None:
        """`takes`: seconds for each command."""
        self._takes = takes
        self.ahead = 0.0  # seconds that have passed
        self.connected = asyncio.Event()
        self.connected.set()
        self.rules: dict[int, str] = {}
        self.late: dict[str, Response] = {}  # by address: an answer that nobody waited for
        self.slow: set[str] = set()  # addresses whose next deny is answered late
        self.asked: list[str] = []
        self._heard: Callable[[Response], None] = lambda _: None

    def clock(self) -> float:
        return time.time() + self.ahead

    def admit(self, _device: str, heard: Callable[[Response], None]) -> None:
        self._heard = heard

    async def ask(self, device: str, steps: Sequence[Step], head: str = "") -> list[Response]:
        (step,) = steps
        await asyncio.sleep(self._takes)
        self.asked.append(step.command["action"])
        if step.command["action"] == "delete":
            known = self.rules.pop(step.command["target"]["slpf:rule_number"], None)
            return [Response(device, "", 200 if known else 404, 0.0, "", {})]
        address = step.command["target"]["ipv4_net"].partition("/")[0]
        number = len(self.asked)
        self.rules[number] = address
        answer = Response(device, step.request_id, 200, 0.0, "", {"slpf": {"rule_number": number}})
        if address in self.slow:
            self.slow.discard(address)
            self.late[address] = answer
            raise LineUnavailable("no answer within 2 s")
        self._heard(answer)
        return [answer]

    def answers_late(self, address: str) -> None:
        self._heard(self.late.pop(address))


def scene() -> tuple[Consumer, ForeignLine]:
    consumer = Consumer()
    return consumer, ForeignLine("asa", cast("Producer", consumer))


async def test_a_batch_told_again_makes_no_second_rule() -> None:
    consumer, line = scene()
    consumer.slow = {TWO}
    told = orders(block(1, ONE), block(2, TWO))
    with pytest.raises(LineUnavailable):
        await line.carry_out(told)
    consumer.answers_late(TWO)
    assert (await line.carry_out(told)).notes == ()
    assert sorted(consumer.rules.values()) == [ONE, TWO]
    assert (await line.carry_out(orders(block(1).id, block(2).id))).notes == ()
    assert consumer.rules == {}


async def test_every_rule_that_a_block_came_to_is_lifted() -> None:
    consumer, line = scene()
    consumer.slow = {ONE}
    told = orders(block(1, ONE))
    with pytest.raises(LineUnavailable):
        await line.carry_out(told)
    assert (await line.carry_out(told)).notes == ()
    consumer.answers_late(ONE)
    assert len(consumer.rules) == 2
    assert (await line.carry_out(orders(block(1).id))).notes == ()
    assert consumer.rules == {}


async def test_a_rule_whose_number_never_came_is_not_called_lifted() -> None:
    consumer, line = scene()
    consumer.slow = {ONE}
    told = orders(block(1, ONE, ttl=600))
    with pytest.raises(LineUnavailable):
        await line.carry_out(told)
    assert (await line.carry_out(told)).notes == ()
    for outcome in ("failed", "refused", "refused"):  # tried again while the answer may still come
        (note,) = (await line.carry_out(orders(block(1).id))).notes
        assert (note.outcome, "may stand until" in note.detail) == (outcome, True)
        assert len(consumer.rules) == 1
        consumer.ahead += LATE


async def test_a_rule_whose_number_comes_after_the_lift_is_lifted_when_that_is_tried_again() -> None:
    consumer, line = scene()
    consumer.slow = {ONE}
    with pytest.raises(LineUnavailable):
        await line.carry_out(orders(block(1, ONE)))
    (note,) = (await line.carry_out(orders(block(1).id))).notes
    assert note.outcome == "failed"
    consumer.answers_late(ONE)
    assert (await line.carry_out(orders(block(1).id))).notes == ()
    assert consumer.rules == {}


async def test_what_is_not_connected_made_no_rule() -> None:
    consumer, line = scene()
    consumer.connected.clear()
    with pytest.raises(LineUnavailable):
        await line.carry_out(orders(block(1, ONE)))
    assert (await line.carry_out(orders(block(1).id))).notes == ()


async def test_a_batch_that_failed_goes_on_where_it_ended() -> None:
    consumer, line = scene()
    made = [block(number, f"10.0.{number >> 8}.{number & 255}") for number in range(40)]
    consumer.slow = {made[25].target.value}
    for told in (orders(*made), orders(*made)):
        try:
            receipts = await line.carry_out(told)
        except LineUnavailable:
            done = len(consumer.asked)
    assert receipts.notes == ()
    assert done >= 25
    assert len(consumer.asked) - done <= 40 - 24  # of those answered before, none again
    asked = len(consumer.asked)
    assert (await line.carry_out(orders(*(each.id for each in made[:5])))).notes == ()
    assert (await line.carry_out(orders(*(each.id for each in made[:5])))).notes == ()
    assert len(consumer.asked) == asked + 5


async def test_a_hub_takes_its_answers_and_a_catch_up_longer_than_its_deadline_ends(tmp_path: Path) -> None:
    consumer = Consumer(takes=0.01)
    line = ForeignLine("asa", cast("Producer", consumer))
    made = [block(number, f"10.0.{number >> 8}.{number & 255}") for number in range(100)]
    quick = Pace(deadline=0.06, shortest=0.01, longest=0.02)  # ten at once: all of them take 0.1 s
    async with asyncio.timeout(20), await Ledger.open(tmp_path / "ledger") as ledger:
        hub = Hub(ledger, [], pace=quick)
        running = asyncio.create_task(hub.run())
        await asyncio.gather(*(hub.submit(permit(each)) for each in made))
        hub.attach(line)
        assert (await hub.settled(made[-1].id, 10))["asa"] == "enforced"
        (status,) = [found for found in hub.status() if found.name == "asa"]
        assert (status.state, status.service) == ("up", "in_service")
        assert len(consumer.rules) == 100
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_answer_that_comes_late_over_a_broker_tells_its_rule(tmp_path: Path) -> None:
    async with asyncio.timeout(30), mosquitto(tmp_path) as broker, tap(broker) as ear:
        made = Producer(broker, KEY, timeout=0.2)
        line = ForeignLine("asa", made)
        async with running(made):
            told, before = orders(block(1)), counted(STRAY, what="unknown")
            with pytest.raises(LineUnavailable):
                await line.carry_out(told)
            (command,) = await ear.until("oc2/cmd/device/asa")
            rule = {"slpf": {"rule_number": 7}}
            answer = response(read_command(command.payload), "asa", time.time(), 200, "", rule)
            ear.say("oc2/rsp/portcullis", answer, "rsp")
            while counted(STRAY, what="unknown") == before:  # noqa: ASYNC110 - a counter tells nobody
                await asyncio.sleep(0.01)
            assert (await line.carry_out(told)).notes == ()
            await ear.caught_up()
            assert len(await ear.until("oc2/cmd/device/asa")) == 1
