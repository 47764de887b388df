"""The producer's end of OpenC2 over MQTT: one connection for all consumers, commands signed, answers checked.

Lines that are told the same orders in turns of the loop one after another are told by one message to their group,
signed once.
Commands expire at the broker when we stop waiting, so that nobody obeys an order of yesterday.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mqtt5 import PublishPacket
from prometheus_client import Counter

from defense_lines.agent.openc2_gate import Stamp
from defense_lines.agent.openc2_message import Response, read_response, request
from defense_lines.agent.openc2_mqtt import GROUP, Broker, Connection, kind, stay_connected
from defense_lines.agent.openc2_outbox import Outgoing
from defense_lines.agent.openc2_seal import answers_key, seal_command, sealed_answer
from defense_lines.line import LineUnavailable, Orders
from defense_lines.lines.openc2_calls import Answers, Call, Heard, Request
from defense_lines.lines.openc2_plan import Plan, Step, plan

MOST_EXCLUDED = 1_000  # devices that a message to the group leaves out; more would not fit in it

_stray = Counter("portcullis_defense_lines_openc2_stray_total", "Messages that answer nothing we wait for", ["what"])


class _Gathering(msgspec.Struct, frozen=True):
    """Who is told the same orders now."""

    orders: Orders
    plan: Plan
    calls: list[Call] = []


class Producer:
    """Asks consumers and gathers their answers while `run` is running."""

    def __init__(
        self,
        broker: Broker,
        key: Ed25519PrivateKey,
        *,
        group: str = GROUP,
        timeout: float = 2.0,
        name: str = "portcullis",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timeout` in seconds for one answer; `name` is our id there, unique among all producers."""
        self.connected = asyncio.Event()
        self.clock = clock
        self._broker, self._key, self._timeout, self._name = broker, key, timeout, name
        self._group = f"oc2/cmd/ap/{group}"
        self._monotonic, self._began = monotonic, monotonic()
        self._session, self._number = secrets.token_hex(16), 0
        self._keys: dict[str, bytes | None] = {}  # of each consumer's answers; None: not ours
        self._hearing: dict[str, Callable[[Response], None]] = {}  # who hears all that one not ours answers
        self._bound: set[str] = set()  # consumers that follow our session
        self._nonces: dict[str, tuple[str, float]] = {}  # by which those that do not can be bound, and when heard of
        self._requests: dict[str, Request] = {}
        self._gathering: dict[int, _Gathering] = {}
        self._connection: Connection | None = None
        self._reachable: Callable[[str], None] = lambda _: None

    def enrol(self, device: str) -> None:
        """A consumer of ours."""
        self._keys[device] = answers_key(self._key, device)

    def admit(self, device: str, heard: Callable[[Response], None]) -> None:
        """A consumer that checks no signatures and seals nothing. `heard` is called with each final answer that names
        it, also those that nobody waits for any longer.
        """
        self._keys[device] = None
        self._hearing[device] = heard

    async def run(self, reachable: Callable[[str], None] = lambda _: None) -> None:
        """Hold one connection to the broker, and get another when it is lost, until cancelled.

        `connected` is set while there is one; `reachable` is called with each device that says that it is there, and at
        each connection with those that cannot say so.
        """
        self._reachable = reachable

        async def converse(connection: Connection) -> None:
            self._connection = connection
            self.connected.set()
            try:
                for device in [device for device, key in self._keys.items() if key is None or device in self._bound]:
                    reachable(device)
                await asyncio.get_running_loop().create_future()
            finally:
                self._disconnect()

        topics = ("oc2/rsp", f"oc2/rsp/{self._name}")
        await stay_connected(self._broker, f"oc2-{self._name}", topics, self._received, converse)

    def tell(self, device: str, orders: Orders, heard: Heard) -> Call:
        """Tell one consumer orders, in one message to all who are told them now. `heard` is called once, later, with
        the plan and the answers; repeating it is harmless.
        """
        gathering = self._gathering.get(id(orders))
        if gathering is None:
            gathering = self._gathering[id(orders)] = _Gathering(orders, plan(orders, self.clock()), [])
            asyncio.get_running_loop().call_soon(self._tell_when_gathered, id(orders), 0)
        call = Call(device, gathering.plan, heard)
        gathering.calls.append(call)
        return call

    def tell_alone(self, device: str, planned: Plan, head: str, heard: Heard) -> Call:
        """The same, in messages to this one."""
        call = Call(device, planned, heard)
        asyncio.get_running_loop().call_soon(self._send, f"oc2/cmd/device/{device}", [call], head)
        return call

    async def ask(self, device: str, steps: Sequence[Step], patience: float = 0.0) -> list[Response]:
        """Ask one consumer alone; an answer to each step. `patience` in seconds: how much longer to wait for the answer
        of one that has accepted. Raises LineUnavailable.
        """
        done: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()

        def heard(_: Plan, answers: Answers) -> None:
            if not done.done():  # else cancelled
                done.set_result(answers)

        call = Call(device, Plan(tuple(steps), ()), heard)
        try:
            self._send(f"oc2/cmd/device/{device}", [call], patience=patience)
            answers = await done
        finally:
            call.drop()
        if isinstance(answers, LineUnavailable):
            raise answers
        return answers

    def _tell_when_gathered(self, key: int, count: int) -> None:
        """Once a turn of the loop brings nobody more: a hub tells its lines some in each turn."""
        gathered = len(self._gathering[key].calls)
        if gathered == count:
            self._tell_gathered(self._gathering.pop(key))
        else:
            asyncio.get_running_loop().call_soon(self._tell_when_gathered, key, gathered)

    def _tell_gathered(self, told: _Gathering) -> None:
        together = [call for call in told.calls if call.device in self._bound]
        others = self._ours() - {call.device for call in together}
        if len(together) < 2 or len(others) > min(len(together), MOST_EXCLUDED):
            together = []
        else:
            self._send(self._group, together, told.orders.head, sorted(others))
        alone = set(map(id, told.calls)) - set(map(id, together))
        for call in told.calls:
            if id(call) in alone:
                self._send(f"oc2/cmd/device/{call.device}", [call], told.orders.head)

    def _ours(self) -> set[str]:
        return {device for device, key in self._keys.items() if key is not None}

    def _send(
        self, topic: str, calls: Sequence[Call], head: str = "", excluded: Sequence[str] = (), patience: float = 0.0
    ) -> None:
        """Ask what the calls' one plan says."""
        if not calls[0].plan.steps:
            for call in calls:
                call.complete()
            return
        connection, sent = self._connection, []
        try:
            if connection is None:
                raise BufferError("no connection to the broker")
            for number, step in enumerate(calls[0].plan.steps):
                request_id = step.request_id or secrets.token_hex(16)
                payload = self._message(request_id, topic, calls[0].device, step, head, excluded)
                connection.publish(Outgoing(topic, payload, "req", self._timeout))
                self._requests[request_id] = Request(number, {call.device: call for call in calls})
                sent.append(request_id)
        except BufferError as error:
            for call in calls:
                call.fail(str(error))
        asyncio.get_running_loop().call_later(self._timeout, self._give_up, sent, patience)

    def _message(
        self, request_id: str, topic: str, device: str, step: Step, head: str, excluded: Sequence[str]
    ) -> bytes:
        """One command as it travels; to one device of ours alone, with the nonce that binds it if it waits for that."""
        if self._keys[device] is None:
            return request(request_id, self._name, self.clock(), step.command)
        self._number += 1
        now = self._monotonic()
        nonce, heard = ("", now) if topic == self._group else self._nonces.pop(device, ("", now))
        since, held = int((now - self._began) * 1000), int((now - heard) * 1000)
        stamp = Stamp(self._session, self._number, since, topic, tuple(excluded), nonce, held, head)
        return seal_command(request(request_id, self._name, self.clock(), step.command, stamp), self._key)

    def _give_up(self, request_ids: Sequence[str], patience: float) -> None:
        accepted = [request_id for request_id in request_ids if patience and self._is_accepted(request_id)]
        if accepted:
            asyncio.get_running_loop().call_later(patience, self._give_up, accepted, 0.0)
        for request_id in set(request_ids).difference(accepted):
            unanswered = self._requests.pop(request_id, None)
            for call in unanswered.calls.values() if unanswered else ():
                call.fail("no answer in time")

    def _is_accepted(self, request_id: str) -> bool:
        asked = self._requests.get(request_id)
        return asked is not None and all(call.accepted for call in asked.calls.values())

    def _received(self, connection: Connection, message: PublishPacket) -> None:
        connection.acknowledge(message)
        answer = read_response(message.payload) if kind(message) is not None else None
        if answer is None or answer.sender not in self._keys:
            _stray.labels("malformed" if answer is None else "unknown").inc()
            return
        key = self._keys[answer.sender]
        if key is not None and not sealed_answer(message.payload, key):
            _stray.labels("forged").inc()
        elif answer.request_id or answer.status:
            self._settle(answer)
        elif key is not None:
            self._arrived(answer)

    def _arrived(self, notification: Response) -> None:
        self._bound.discard(notification.sender)
        self._nonces[notification.sender] = notification.nonce, self._monotonic()
        for asked in tuple(self._requests.values()):  # it may have begun anew, and know nothing of what it had accepted
            call = asked.calls.get(notification.sender)
            if call is not None and call.accepted:
                call.fail("has connected anew")
        self._reachable(notification.sender)

    def _settle(self, answer: Response) -> None:
        asked = self._requests.get(answer.request_id)
        if answer.status == 102:  # the final answer is still to come
            if asked and answer.sender in asked.calls:
                asked.calls[answer.sender].accepted = True
            return
        if heard := self._hearing.get(answer.sender):
            heard(answer)
        call = asked.calls.pop(answer.sender, None) if asked else None
        if asked is None or call is None:
            _stray.labels("unknown").inc()
            return
        if not asked.calls:
            del self._requests[answer.request_id]
        if answer.refused:
            self._bound.discard(answer.sender)
            self._nonces[answer.sender] = answer.nonce, self._monotonic()
        else:
            self._bound.add(answer.sender)
        call.settle(asked.step, answer)

    def _disconnect(self) -> None:
        self._connection = None
        self.connected.clear()
        requests, self._requests = self._requests, {}
        for asked in requests.values():
            for call in asked.calls.values():
                call.fail("connection to the broker lost")
