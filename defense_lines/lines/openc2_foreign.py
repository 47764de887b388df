"""An OpenC2 consumer of somebody else's, as a line: SLPF's own commands, one for each order, unsigned.

It checks nothing, and its answers are as good as the broker's word. It cannot list its rules, so whether it has lost
them is not known; and rules are ended by their number, which only the process that made them was told.
"""

from __future__ import annotations

import asyncio
import time as clocks
from collections.abc import Coroutine, Iterable, Sequence

from defense_lines.agent.openc2_message import delete, deny
from defense_lines.line import Capabilities, Digest, LineUnavailable, Note, Order, Orders, Receipts
from defense_lines.lines.openc2_plan import TARGETS, Step, not_done, unable, words
from defense_lines.lines.openc2_producer import Producer
from policy import BlockPolicy

IN_FLIGHT = 10  # commands that wait for an answer at once; the others wait for these


class ForeignLine:
    """One consumer. Satisfies DefenseLine while its producer is running."""

    capabilities = Capabilities(targets=TARGETS, lists=False)
    cursor: int | None = None

    def __init__(self, name: str, producer: Producer) -> None:
        """`name` is the consumer's device id."""
        self.name = name
        self._producer = producer
        self._rules: dict[str, tuple[int, float]] = {}  # block id: rule number (0 if it said none), end
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        producer.admit(name)

    async def carry_out(self, orders: Orders) -> Receipts:
        """See DefenseLine."""
        start = clocks.perf_counter()
        now = self._producer.clock()
        self._rules = {block: (rule, end) for block, (rule, end) in self._rules.items() if end > now}
        notes = await _all(self._order(order) for order in orders.orders)
        ms = (clocks.perf_counter() - start) * 1000
        return Receipts(time=self._producer.clock(), ms=ms, head="", notes=notes)

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """See DefenseLine: it does not list."""
        raise LineUnavailable(f"{self.name}: SLPF has no list of rules")

    async def _order(self, order: Order) -> Note | None:
        async with self._slots:
            return await (self._lift(order.id) if order.block is None else self._enforce(order.block))

    async def _enforce(self, block: BlockPolicy) -> Note | None:
        now = self._producer.clock()
        if note := unable(block, now):
            return note
        command = deny(block.target.value, block.remaining(now), block.id)
        (answer,) = await self._producer.ask(self.name, [Step(command, (block.id,))])
        if answer.status != 200:
            return Note(block.id, not_done(answer), words(answer), answer.created)
        self._rules[block.id] = (answer.rule or 0, block.expires)
        return None

    async def _lift(self, block: str) -> Note | None:
        rule, _ = self._rules.get(block, (0, 0.0))
        if not rule:
            return Note(block, "refused", "its rule number is not known; it ends by itself")
        (answer,) = await self._producer.ask(self.name, [Step(delete(rule, block), (block,))])
        if answer.status not in (200, 404):  # 404: it has ended by itself
            return Note(block, not_done(answer), words(answer), answer.created)
        del self._rules[block]
        return None


async def _all(orders: Iterable[Coroutine[None, None, Note | None]]) -> tuple[Note, ...]:
    """Carry out every order; the first that fails ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(order) for order in orders]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return tuple(note for task in tasks if (note := task.result()))
