"""A consumer's desk: orders are carried out one after another, questions what stands answered beside them.

The loss of a connection interrupts nothing that is being carried out; what comes of it goes out over the next one.
"""

from __future__ import annotations

import asyncio
from typing import Literal, NoReturn

from mqtt5 import PublishPacket, QoS
from prometheus_client import Counter

from defense_lines.agent.openc2_mqtt import RECEIVE, BrokerLost, Connection, kind
from defense_lines.agent.openc2_outbox import Outgoing
from defense_lines.agent.openc2_profile import Reply
from defense_lines.agent.openc2_sentry import Sentry, Told

QUESTIONS = 10  # that wait for the listing before them; there is one gateway, and it asks one at a time

_ignored = Counter("portcullis_defense_lines_openc2_ignored_total", "Messages that are no OpenC2 command in JSON")


class Desk:
    """One consumer's."""

    def __init__(self, sentry: Sentry) -> None:
        self._sentry = sentry
        self._inbox: asyncio.Queue[tuple[Connection, PublishPacket]] = asyncio.Queue(RECEIVE)
        self._questions: asyncio.Queue[Told] = asyncio.Queue(QUESTIONS)
        self._connection: Connection | None = None  # the last; what is said on one that ended goes over the next

    def received(self, connection: Connection, message: PublishPacket) -> None:
        """A message arrived. What comes at QoS 0 is not to be obeyed: no window holds it back."""
        if kind(message) not in ("req", "") or message.qos == QoS.AT_MOST_ONCE:
            _ignored.inc()
            connection.acknowledge(message)
            return
        try:
            self._inbox.put_nowait((connection, message))
        except asyncio.QueueFull:
            connection.close(BrokerLost(f"more than {RECEIVE} messages at once"))

    async def converse(self, connection: Connection) -> None:
        """A connection stands: say that we are there."""
        self._connection = connection
        self._say(self._sentry.arrival(), "ntf")
        await connection.ended()

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._carry_out())
            tasks.create_task(self._list())

    async def _carry_out(self) -> NoReturn:
        while True:
            connection, message = await self._inbox.get()
            try:
                told = self._sentry.admit(message.payload)
                if isinstance(told, Told):
                    told = self._ask(told) if told.asks else await self._sentry.answer(told)
                connection.acknowledge(message)
                self._say(told, "rsp")
            except Exception as error:
                self._fault(error)

    async def _list(self) -> NoReturn:
        while True:
            question = await self._questions.get()
            try:
                self._say(await self._sentry.answer(question), "rsp")
            except Exception as error:
                self._fault(error)

    def _ask(self, question: Told) -> Reply | None:
        """Have it answered; what there is to say now."""
        try:
            self._questions.put_nowait(question)
        except asyncio.QueueFull:
            return self._sentry.put_off(question)
        return self._sentry.accept(question)

    def _say(self, reply: Reply | None, what: Literal["rsp", "ntf"]) -> None:
        if reply is not None and self._connection is not None:
            self._connection.publish(Outgoing(reply.topic, reply.payload, what))

    def _fault(self, error: Exception) -> None:
        """A bug of ours: it costs the connection."""
        if self._connection is not None:
            self._connection.close(error)
