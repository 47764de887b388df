"""An OpenC2 consumer of somebody else's, as a line: SLPF's own commands, one for each order, unsigned.

It checks nothing, and its answers are as good as the broker's word. It cannot list its rules, so whether it has lost
them is not known; and rules are ended by their number, which only the process that made them was told, in an answer
that may come late or never.
"""

from __future__ import annotations

import asyncio
import secrets
import time as clocks
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from defense_lines.agent.openc2_message import Response, delete, deny
from defense_lines.line import Capabilities, Digest, LineUnavailable, Note, Order, Orders, Outcome, Receipts
from defense_lines.lines.openc2_plan import TARGETS, Step, not_done, unable, words
from defense_lines.lines.openc2_producer import Producer
from policy import BlockPolicy

IN_FLIGHT = 10  # commands that wait for an answer at once; the others wait for these
LATE = 30.0  # seconds for which a lift is tried again while an answer may still come
ASKED = 10_000  # denies whose answers may still come; of older ones they are not recognised any more


@dataclass
class _Rules:
    """What a block came to on the consumer. A deny that was not answered may have made a rule all the same."""

    end: float  # Unix seconds
    enforced: bool = False
    numbers: set[int] = field(default_factory=set)
    unknown: int = 0  # denies that may have made a rule whose number we were not told
    asked: float = 0.0  # Unix seconds, the last of them


class ForeignLine:
    """One consumer. Satisfies DefenseLine while its producer is running."""

    capabilities = Capabilities(targets=TARGETS, lists=False)
    cursor: int | None = None

    def __init__(self, name: str, producer: Producer) -> None:
        """`name` is the consumer's device id."""
        self.name = name
        self._producer = producer
        self._rules: dict[str, _Rules] = {}  # by block id
        self._asked: dict[str, _Rules] = {}  # by request id of the deny, oldest first
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        producer.admit(name, self._heard)

    async def carry_out(self, orders: Orders) -> Receipts:
        """See DefenseLine. What was done of a batch that failed is not done again when it is repeated."""
        start = clocks.perf_counter()
        self._forget_ended(self._producer.clock())
        notes = await _all(self._order(order) for order in orders.orders)
        ms = (clocks.perf_counter() - start) * 1000
        return Receipts(time=self._producer.clock(), ms=ms, head=orders.head, notes=notes)

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
        rules = self._rules.setdefault(block.id, _Rules(block.expires))
        if rules.enforced and rules.end >= block.expires:
            return None
        rules.end = max(rules.end, block.expires)
        answer = await self._deny(block, block.remaining(now), rules)
        return None if answer.status == 200 else Note(block.id, not_done(answer), words(answer), answer.created)

    async def _deny(self, block: BlockPolicy, seconds: float, rules: _Rules) -> Response:
        if not self._producer.connected.is_set():  # then it surely made no rule
            raise LineUnavailable(f"{self.name}: no connection to the broker")
        request_id = secrets.token_hex(16)
        rules.unknown += 1
        rules.asked = self._producer.clock()
        self._asked[request_id] = rules
        if len(self._asked) > ASKED:
            del self._asked[next(iter(self._asked))]
        step = Step(deny(block.target.value, seconds, block.id), (block.id,), request_id)
        (answer,) = await self._producer.ask(self.name, [step])
        return answer

    def _heard(self, answer: Response) -> None:
        """An answer came, in time or late."""
        rules = self._asked.pop(answer.request_id, None)
        if rules is None:
            return
        rules.enforced = rules.enforced or answer.status == 200
        if answer.status != 200 or answer.rule:
            rules.unknown -= 1
        if answer.status == 200 and answer.rule:
            rules.numbers.add(answer.rule)

    async def _lift(self, block: str) -> Note | None:
        rules = self._rules.get(block)
        if rules is None:
            return Note(block, "refused", "its rule number is not known; it ends by itself")
        rules.enforced = False
        for rule in sorted(rules.numbers):
            (answer,) = await self._producer.ask(self.name, [Step(delete(rule, block), (block,))])
            if answer.status not in (200, 404):  # 404: it has ended by itself
                return Note(block, not_done(answer), words(answer), answer.created)
            rules.numbers.discard(rule)
        if rules.unknown:
            until = datetime.fromtimestamp(rules.end, UTC)
            outcome: Outcome = "failed" if self._producer.clock() < rules.asked + LATE else "refused"
            return Note(block, outcome, f"a rule whose number is unknown may stand until {until:%Y-%m-%d %H:%M:%SZ}")
        return None

    def _forget_ended(self, now: float) -> None:
        self._rules = {block: rules for block, rules in self._rules.items() if rules.end > now}
        self._asked = {request: rules for request, rules in self._asked.items() if rules.end > now}


async def _all(orders: Iterable[Coroutine[None, None, Note | None]]) -> tuple[Note, ...]:
    """Carry out every order; the first that fails ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(order) for order in orders]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return tuple(note for task in tasks if (note := task.result()))
