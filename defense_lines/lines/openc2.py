"""A consumer of ours behind an MQTT 5 broker, as a line: OpenC2 with the SLPF profile, commands signed, answers sealed.

A PUBACK is the broker's word and nobody else's: only the consumer's own 200, under its own seal, counts.
"""

from __future__ import annotations

import re
import time as clocks
from collections.abc import Sequence

from defense_lines.agent.openc2_message import Response, list_orders
from defense_lines.agent.openc2_rules import MAX_RULES
from defense_lines.line import Capabilities, Digest, LineBroken, LineUnavailable, Orders, Receipts
from defense_lines.lines.openc2_plan import TARGETS, Plan, Step, notes, plan, words
from defense_lines.lines.openc2_producer import Producer

_BLOCK_ID = re.compile(r"b-[0-9a-f]{16}")


class OpenC2Line:
    """One consumer. Satisfies DefenseLine while its producer is running."""

    capabilities = Capabilities(targets=TARGETS, room=MAX_RULES)
    cursor: int | None = None  # it follows commands, not the ledger

    def __init__(self, name: str, producer: Producer) -> None:
        """`name` is the consumer's device id."""
        self.name = name
        self._producer = producer
        producer.enrol(name)

    async def carry_out(self, orders: Orders) -> Receipts:
        """See DefenseLine."""
        start = clocks.perf_counter()
        planned, answers = await self._producer.tell(self.name, orders)
        if any(answer.refused for answer in answers):  # it named a nonce, and can be bound by it
            planned = plan(orders, self._producer.clock())  # less is left of each block than when it was told
            answers = await self._ask(planned.steps, orders.head) if planned.steps else []
        return self._receipts(orders, planned, answers, (clocks.perf_counter() - start) * 1000)

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """See DefenseLine."""
        (answer,) = await self._producer.ask(self.name, self._listing(unless, time))
        if answer.refused:
            (answer,) = await self._ask(self._listing(unless, time), "")
        if answer.status != 200:
            raise LineUnavailable(f"{self.name}: {words(answer)}")
        if answer.in_step:
            return None
        if answer.orders is None:
            raise LineBroken(f"no list of orders: {answer.results}"[:500])
        return [block for block in answer.orders if _BLOCK_ID.fullmatch(block)]

    def _listing(self, unless: Digest, time: float) -> list[Step]:
        return [Step(list_orders(unless, time - self._producer.clock()), ())]

    async def _ask(self, steps: Sequence[Step], head: str) -> list[Response]:
        answers = await self._producer.ask(self.name, steps, head)
        for answer in answers:
            if answer.refused:
                raise LineUnavailable(f"{self.name}: {words(answer)}")
        return answers

    def _receipts(self, orders: Orders, planned: Plan, answers: Sequence[Response], ms: float) -> Receipts:
        if any(answer.head != orders.head for answer in answers):
            raise LineBroken("echoed another head than it was told")
        said = [note for step, answer in zip(planned.steps, answers, strict=True) for note in notes(step, answer)]
        time = max((answer.created for answer in answers), default=0.0) or self._producer.clock()
        return Receipts(time=time, ms=ms, head=orders.head, notes=(*planned.notes, *said))
