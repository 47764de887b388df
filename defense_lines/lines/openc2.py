"""A consumer of ours behind an MQTT 5 broker, as a line: OpenC2 with the SLPF profile, commands signed, answers sealed.

A PUBACK is the broker's word and nobody else's: only the consumer's own 200, under its own seal, counts.
"""

from __future__ import annotations

import re
import time as clocks
from collections.abc import Sequence
from functools import partial

from defense_lines.agent.openc2_message import Response, list_orders
from defense_lines.agent.openc2_rules import MAX_RULES
from defense_lines.line import (
    Answered,
    CallingLine,
    Capabilities,
    Digest,
    LineBroken,
    LineUnavailable,
    Orders,
    Receipts,
)
from defense_lines.lines.openc2_calls import Answers, Call
from defense_lines.lines.openc2_plan import TARGETS, Plan, Step, notes, plan, words
from defense_lines.lines.openc2_producer import Producer

LISTING = 30.0  # seconds that a consumer may take to say what stands: 65,000 rules take a kernel a while

_BLOCK_ID = re.compile(r"b-[0-9a-f]{16}")


class OpenC2Line(CallingLine):
    """One consumer, while its producer is running."""

    capabilities = Capabilities(targets=TARGETS, room=MAX_RULES)
    cursor: int | None = None  # it follows commands, not the ledger

    def __init__(self, name: str, producer: Producer) -> None:
        """`name` is the consumer's device id."""
        self.name = name
        self._producer = producer
        self._call: Call | None = None  # the last
        self._answered: Answered | None = None  # while that one is waited for
        producer.enrol(name)

    def tell(self, orders: Orders, answered: Answered) -> None:
        """See CallingLine."""
        if self._answered is not None:
            raise RuntimeError(f"{self.name}: told again before it answered")
        heard = partial(self._heard, orders, clocks.perf_counter())
        self._call, self._answered = self._producer.tell(self.name, orders, heard), answered

    def give_up(self) -> None:
        """See CallingLine."""
        self._answered = None
        if self._call is not None:
            self._call.drop()

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """See DefenseLine."""
        (answer,) = await self._producer.ask(self.name, self._listing(unless, time), patience=LISTING)
        if answer.refused:
            (answer,) = await self._producer.ask(self.name, self._listing(unless, time), patience=LISTING)
        if answer.status != 200:
            raise LineUnavailable(f"{self.name}: {words(answer)}")
        if answer.in_step:
            return None
        if answer.orders is None:
            raise LineBroken(f"no list of orders: {answer.results}"[:500])
        return [block for block in answer.orders if _BLOCK_ID.fullmatch(block)]

    def _listing(self, unless: Digest, time: float) -> list[Step]:
        return [Step(list_orders(unless, time - self._producer.clock()), ())]

    def _heard(self, orders: Orders, start: float, planned: Plan, answers: Answers) -> None:
        if isinstance(answers, list) and any(answer.refused for answer in answers):
            # it named a nonce, and can be bound by it; less is left of each block than when it was told
            planned, heard = plan(orders, self._producer.clock()), partial(self._end, orders, start)
            self._call = self._producer.tell_alone(self.name, planned, orders.head, heard)
        else:
            self._end(orders, start, planned, answers)

    def _end(self, orders: Orders, start: float, planned: Plan, answers: Answers) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(self, self._meaning(orders, planned, answers, (clocks.perf_counter() - start) * 1000))

    def _meaning(self, orders: Orders, planned: Plan, answers: Answers, ms: float) -> Receipts | Exception:
        if isinstance(answers, LineUnavailable):
            return answers
        for answer in answers:
            if answer.refused:
                return LineUnavailable(f"{self.name}: {words(answer)}")
        try:
            return self._receipts(orders, planned, answers, ms)
        except Exception as error:  # for who waits; the broker's connection has no part in it
            return error

    def _receipts(self, orders: Orders, planned: Plan, answers: Sequence[Response], ms: float) -> Receipts:
        if any(answer.head != orders.head for answer in answers):
            raise LineBroken("echoed another head than it was told")
        said = [note for step, answer in zip(planned.steps, answers, strict=True) for note in notes(step, answer)]
        time = max((answer.created for answer in answers), default=0.0) or self._producer.clock()
        return Receipts(time=time, ms=ms, head=orders.head, notes=(*planned.notes, *said))
