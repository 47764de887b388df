"""OpenC2 packet filters behind an MQTT 5 broker: we are the producer, the profile is SLPF.

One actuator listens on `oc2/cmd/ap/ACTUATOR`; give each its own name there, for the first final answer to a command is
taken for the line's. A PUBACK is the broker's word and nobody else's: only the actuator's own 200 is `enforced`.
Commands carry the block id as `command_id` and expire at the broker when we stop waiting, so that an actuator that was
away never obeys an order of yesterday.

SLPF cannot list rules. We ask with our extension (`query` of `x-portcullis:orders`); an actuator that does not know it
is taken to enforce what it acknowledged to this process, until it ends.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import aiomqtt
from prometheus_client import Counter

from defense_lines.agent.openc2_message import Response, delete, deny, list_orders, read_response, request
from defense_lines.agent.openc2_mqtt import Broker, properties, publish, stay_connected
from defense_lines.line import LineUnavailable, Outcome, Receipt
from policy import BlockPolicy, TargetKind

IN_FLIGHT = 10  # commands that wait for an answer at once; the others wait for these

_BLOCK_ID = re.compile(r"b-[0-9a-f]{16}")
_REFUSED = frozenset((400, 401, 403, 404, 501))

_stray = Counter("portcullis_defense_lines_openc2_stray_total", "Messages that answer nothing we wait for", ["what"])


class OpenC2Line:
    """The producer's end. Satisfies DefenseLine while `run` is running."""

    name = "openc2"
    targets: frozenset[TargetKind] = frozenset(("address", "range"))

    def __init__(
        self,
        broker: Broker,
        *,
        actuator: str = "slpf",
        timeout: float = 2.0,
        producer: str = "portcullis",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`timeout` in seconds for one command; `producer` is our id there, unique among all producers."""
        self.connected = asyncio.Event()
        self._broker, self._actuator, self._timeout, self._producer = broker, actuator, timeout, producer
        self._clock = clock
        self._connection: aiomqtt.Client | None = None
        self._waiting: dict[str, asyncio.Future[Response]] = {}
        self._rules: dict[str, tuple[int, float]] = {}  # block id: rule number (0 if it said none), end
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, on_connected: Callable[[], None] = lambda: None) -> None:
        """Hold one connection to the broker, and get another when it is lost, until cancelled.

        `connected` is set while there is one; `on_connected` is called at each, once.
        """

        async def converse(connection: aiomqtt.Client) -> None:
            self._connection = connection
            self.connected.set()
            try:
                on_connected()
                await self._listen(connection)
            finally:
                self._disconnect()

        topics = ("oc2/rsp", f"oc2/rsp/{self._producer}")
        await stay_connected(self._broker, f"oc2-{self._producer}", topics, converse)

    async def apply(self, blocks: Sequence[BlockPolicy], head: str) -> Sequence[Receipt]:
        """See DefenseLine. If any command goes unanswered all of it is LineUnavailable; repeating it is harmless."""
        return await _all([self._apply(block, head) for block in blocks])

    async def revoke(self, block_ids: Sequence[str], head: str) -> Sequence[Receipt]:
        """See DefenseLine."""
        if any(block not in self._rules for block in block_ids):
            await self.active()  # after a restart only the actuator knows the rule numbers
        return await _all([self._revoke(block, head) for block in block_ids])

    async def active(self) -> Sequence[str]:
        """See DefenseLine; see above for actuators that cannot list their rules."""
        answer = await self._ask(list_orders())
        orders = answer.orders if answer.status == 200 else None
        if orders is None and answer.status >= 500 and answer.status != 501:
            raise LineUnavailable(f"{self.name}: {answer.status} {answer.text}")
        self._forget_ended()
        if orders is not None:
            ends = {block: end for block, (_, end) in self._rules.items()}
            ours = {block: rule for block, rule in orders.items() if _BLOCK_ID.fullmatch(block)}
            self._rules = {block: (rule, ends.get(block, math.inf)) for block, rule in ours.items()}
        return list(self._rules)

    async def _apply(self, block: BlockPolicy, head: str) -> Receipt:
        start, left = time.perf_counter(), block.remaining(self._clock())
        if block.target.kind not in self.targets:
            return self._receipt(block.id, "refused", start, head, f"SLPF knows no {block.target.kind}")
        if left <= 0:
            return self._receipt(block.id, "expired", start, head)
        answer = await self._ask(deny(block.target.value, left, block.id))
        if answer.status == 200:
            self._rules[block.id] = (answer.rule or 0, block.expires)
            return self._receipt(block.id, "enforced", start, head, _rule(answer.rule), answer)
        return self._receipt(block.id, _not_done(answer), start, head, _words(answer), answer)

    async def _revoke(self, block: str, head: str) -> Receipt:
        start = time.perf_counter()
        rule, _ = self._rules.get(block, (None, 0.0))
        if rule is None:
            return self._receipt(block, "lifted", start, head, "not enforced")
        if rule == 0:
            return self._receipt(block, "failed", start, head, "the actuator gave no rule number; it ends by itself")
        answer = await self._ask(delete(rule, block))
        if answer.status in (200, 404):  # 404: it has ended by itself
            self._rules.pop(block, None)
            return self._receipt(block, "lifted", start, head, _rule(rule), answer)
        return self._receipt(block, _not_done(answer), start, head, _words(answer), answer)

    async def _ask(self, command: dict[str, Any]) -> Response:
        """Publish a command and wait for the actuator's final answer. Raises LineUnavailable."""
        request_id = secrets.token_hex(16)
        payload = request(request_id, self._producer, self._clock(), command)
        async with self._slots:
            connection = self._connection
            if connection is None:
                raise LineUnavailable(f"{self.name}: no connection to the broker")
            waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
            self._waiting[request_id] = waiting
            try:
                async with asyncio.timeout(self._timeout):
                    said = properties("req", expiry=math.ceil(self._timeout))
                    await publish(connection, f"oc2/cmd/ap/{self._actuator}", payload, said)
                    return await waiting
            except TimeoutError:
                raise LineUnavailable(f"{self.name}: no answer within {self._timeout:g} s") from None
            except aiomqtt.MqttError as error:
                raise LineUnavailable(f"{self.name}: {error}") from error
            finally:
                del self._waiting[request_id]

    async def _listen(self, connection: aiomqtt.Client) -> None:
        async for message in connection.messages:
            answer = read_response(message.payload) if isinstance(message.payload, bytes) else None
            if answer is None:
                _stray.labels("malformed").inc()
            elif answer.status != 102:  # accepted: the final answer is still to come
                self._settle(answer)

    def _settle(self, answer: Response) -> None:
        waiting = self._waiting.get(answer.request_id)
        if waiting is None or waiting.done():
            _stray.labels("unknown").inc()
        else:
            waiting.set_result(answer)

    def _disconnect(self) -> None:
        self._connection = None
        self.connected.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LineUnavailable(f"{self.name}: connection to the broker lost"))

    def _forget_ended(self) -> None:
        now = self._clock()
        self._rules = {block: (rule, end) for block, (rule, end) in self._rules.items() if end > now}

    def _receipt(
        self, block: str, outcome: Outcome, start: float, head: str, detail: str = "", answer: Response | None = None
    ) -> Receipt:
        when = answer.created if answer and answer.created else self._clock()
        ms = (time.perf_counter() - start) * 1000  # from our command to the actuator's answer
        return Receipt(block=block, line=self.name, outcome=outcome, time=when, ms=ms, detail=detail, head=head)


async def _all(orders: Sequence[Coroutine[Any, Any, Receipt]]) -> list[Receipt]:
    """Carry out every order; the first that fails ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(order) for order in orders]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _not_done(answer: Response) -> Outcome:
    return "refused" if answer.status in _REFUSED else "failed"


def _words(answer: Response) -> str:
    return f"{answer.status} {answer.text}".strip()


def _rule(number: int | None) -> str:
    return f"rule {number}" if number else ""
