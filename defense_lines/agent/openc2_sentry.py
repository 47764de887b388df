"""A consumer behind its gate: what it is told is checked, and what it answers is sealed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog
from prometheus_client import Counter

from defense_lines.agent.openc2_command import Command, ListOrders, read_command
from defense_lines.agent.openc2_gate import WORDS, Admitted, Gate, Refused, Why
from defense_lines.agent.openc2_message import arrival
from defense_lines.agent.openc2_mqtt import response_topic
from defense_lines.agent.openc2_profile import Consumer, Outcome, PacketFilter, Reply
from defense_lines.agent.openc2_seal import Enrolment, seal_answer

PRODUCER = "portcullis"  # the gateway's id as a producer

_log = structlog.get_logger()
_refused = Counter(
    "portcullis_defense_lines_openc2_refused_total", "Commands that did not come through the gate", ["why"]
)


class Told(msgspec.Struct, frozen=True):
    """A command to obey."""

    command: Command
    age: float  # seconds that it was on its way
    head: str

    @property
    def asks(self) -> bool:
        """Whether it asks what stands: answered beside the orders, for a listing takes a kernel seconds."""
        return isinstance(self.command.action, ListOrders)


class Sentry:
    """One consumer's."""

    def __init__(
        self,
        enrolment: Enrolment,
        topics: tuple[str, ...],
        actuator: PacketFilter,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`clock` as the gate's; `wall` gives Unix seconds, for people."""
        self._consumer = Consumer(enrolment.device, actuator, wall)
        self._device, self._secret = enrolment.device, enrolment.secret
        self._gate = Gate(enrolment.device, topics, enrolment.public, clock)
        self._wall = wall
        self._logged: set[Why] = set()

    async def start(self) -> None:
        """Take over the rules that stand already."""
        await self._consumer.start()

    def admit(self, message: bytes) -> Told | Reply | None:
        """What is to be carried out, or what there is to say at once. Never raises for what comes from outside."""
        match self._gate.admit(message):
            case Admitted(inner, age, head):
                return Told(read_command(inner), age, head)
            case Refused(why):
                return self._sealed(self._refuse(message, why))
            case _:
                return None

    async def answer(self, told: Told) -> Reply | None:
        """Carry out one command; the sealed reply."""
        said = {"head": told.head} if told.head else None
        return self._sealed(await self._consumer.answer(told.command, told.age, said))

    def accept(self, told: Told) -> Reply | None:
        """The sealed reply that says that the answer is still to come."""
        return self._sealed(self._consumer.say(told.command, Outcome(102), {}))

    def put_off(self, told: Told) -> Reply | None:
        """The sealed reply to one that is not carried out, for too many wait."""
        return self._sealed(self._consumer.say(told.command, Outcome(503, "too many ask what stands"), {}))

    def arrival(self) -> Reply:
        """What is told once connected: that we are there, and the nonce that binds us."""
        notification = arrival(self._device, self._wall(), self._gate.nonce())
        return Reply(response_topic(PRODUCER), seal_answer(notification, self._secret))

    def _refuse(self, message: bytes, why: Why) -> Reply | None:
        _refused.labels(why).inc()
        if why not in self._logged:  # the first of each kind; who can publish shall not fill our disk
            self._logged.add(why)
            _log.warning("command refused", why=WORDS[why])
        outcome = Outcome(401 if why == "unsigned" else 403, WORDS[why])
        return self._consumer.say(read_command(message), outcome, {"refused": why, "nonce": self._gate.nonce()})

    def _sealed(self, reply: Reply | None) -> Reply | None:
        return reply._replace(payload=seal_answer(reply.payload, self._secret)) if reply else None
