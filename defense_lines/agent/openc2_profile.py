"""The SLPF profile over a real firewall: what becomes of each command. 200 is answered for what the kernel enforces."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from prometheus_client import Counter

from defense_lines.agent.firewall import Result
from defense_lines.agent.libnftables import NftError
from defense_lines.agent.openc2_command import (
    PAIRS,
    Command,
    Delete,
    Deny,
    Fault,
    Features,
    ListOrders,
    Update,
    read_network,
)
from defense_lines.agent.openc2_message import OURS, response
from defense_lines.agent.openc2_mqtt import response_topic
from defense_lines.agent.openc2_rules import MAX_RULES, Rules, command, number
from defense_lines.agent.orders import Order
from defense_lines.line import Digest

SLEPT = 1.0  # seconds of a host's sleep by which rules may end late without our looking what still stands
_BLOCK_ID = re.compile(r"b-[0-9a-f]{16}")
_answers = Counter("portcullis_defense_lines_openc2_answers_total", "Commands answered, by status", ["status"])

Row = tuple[str, str, str]  # command id, outcome, words


class PacketFilter(Protocol):
    """What carries out the rules: an Actuator."""

    def clock(self) -> float:
        """Seconds by the clock in which orders end."""
        ...

    async def apply(self, orders: list[Order]) -> list[Result]:
        """Drop packets of these networks."""
        ...

    async def revoke(self, identities: list[str]) -> list[Result]:
        """Drop them no longer."""
        ...

    async def active(self) -> list[Order]:
        """What is enforced at this moment. Raises NftError."""
        ...

    async def read(self) -> list[Order]:
        """The order book, read back from where it is kept. Raises NftError."""
        ...


class Reply(NamedTuple):
    """A message and the topic it goes to."""

    topic: str
    payload: bytes


class Outcome(NamedTuple):
    """What became of a command, as OpenC2 says it."""

    status: int
    text: str = ""
    results: dict[str, Any] = {}  # noqa: RUF012 - never changed


class Consumer:
    """Answers commands, one after another."""

    def __init__(
        self,
        device: str,
        actuator: PacketFilter,
        wall: Callable[[], float] = time.time,
        awake: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wall` gives Unix seconds, for people; what is done goes by the actuator's clock alone. `awake` is a clock
        that, as the kernel's timeouts, stands still while the host sleeps.
        """
        self._device = device
        self._actuator = actuator
        self._wall = wall
        self._awake = awake
        self._rules = Rules()
        self._read_at = self._asleep()

    async def start(self) -> None:
        """Take over the rules that stand already. Raises NftError."""
        asleep, last = self._asleep(), max(self._rules.last, int(self._wall()))
        standing = await self._actuator.read()
        self._rules = await asyncio.to_thread(Rules, standing, last)  # 65,536 take 0.25 s
        self._read_at = asleep

    async def answer(self, order: Command, age: float = 0.0, said: dict[str, str] | None = None) -> Reply | None:
        """Carry out one command that was `age` seconds on its way; the reply, or None where none is wanted or the
        command is for others. `said` is echoed in its header.
        """
        if order.foreign or order.asset not in ("", self._device):
            return None
        return self._reply(order, await self._carry_out(order, age), said)

    def say(self, order: Command, outcome: Outcome, said: dict[str, str]) -> Reply | None:
        """The reply to a command that is not carried out, or not yet, whatever it is."""
        return self._reply(order, outcome, said)

    async def _carry_out(self, order: Command, age: float) -> Outcome:
        self._rules.expire(self._actuator.clock())
        match order.action:
            case Fault(status, text):
                return Outcome(status, text)
            case Deny() as action:
                return await self._deny(action, order.command_id, age)
            case Update() as action:
                return await self._update(action, age)
            case Delete(rule):
                return await self._delete(rule)
            case Features(names):
                return Outcome(200, results=_features(names))
            case ListOrders() as action:
                return await self._list(action, age)

    async def _deny(self, action: Deny, command_id: str, age: float) -> Outcome:
        standing = self._rules.of(command_id)
        if standing is None and len(self._rules) >= MAX_RULES:
            return Outcome(503, f"{MAX_RULES} rules stand")
        identity = self._rules.order_id(command_id)
        if standing is not None and standing.network != action.network:
            return Outcome(400, "command_id stands for another network")
        order = Order(identity, action.network, self._actuator.clock() + action.seconds - age)
        result = (await self._actuator.apply([order]))[0]
        if result.outcome != "enforced":
            return Outcome(500, result.detail or result.outcome)
        self._rules.put(order)
        return Outcome(200, results={"slpf": {"rule_number": number(identity)}})

    async def _delete(self, rule: int) -> Outcome:
        order = self._rules.get(rule)
        if order is None:
            return Outcome(404, "no such rule")
        result = (await self._actuator.revoke([order.id]))[0]
        if result.outcome != "lifted":
            return Outcome(500, result.detail or result.outcome)
        self._rules.remove(order)
        return Outcome(200)

    async def _update(self, action: Update, age: float) -> Outcome:
        sent = self._actuator.clock() - age  # before anything is done: that takes nothing off what is asked for
        notes = await self._end(action.delete)
        notes += await self._put(action.deny, sent)
        return Outcome(200, results={OURS: {"notes": notes}} if notes else {})

    async def _end(self, command_ids: tuple[str, ...]) -> list[Row]:
        if self._asleep() - self._read_at > SLEPT and any(self._rules.of(each) is None for each in command_ids):
            try:
                await self.start()  # what has ended by our clock, the kernel holds for as long as the host slept
            except NftError as error:
                return [(each, "failed", str(error)) for each in command_ids]
        standing = [order for order in map(self._rules.of, command_ids) if order]
        results = await self._actuator.revoke([order.id for order in standing]) if standing else []
        for order, result in zip(standing, results, strict=True):
            if result.outcome == "lifted":
                self._rules.remove(order)
        return [(command(each.order), each.outcome, each.detail) for each in results if each.outcome != "lifted"]

    def _asleep(self) -> float:
        """Seconds that the host has slept since some moment."""
        return self._actuator.clock() - self._awake()

    async def _put(self, denials: tuple[tuple[str, str, int], ...], sent: float) -> list[Row]:
        orders: list[Order] = []
        notes: list[Row] = []
        room = MAX_RULES - len(self._rules)
        for command_id, network, milliseconds in denials:
            read = self._order(command_id, network, sent + milliseconds / 1000, room)
            if isinstance(read, Order):
                room -= self._rules.of(command_id) is None
                orders.append(read)
            else:
                notes.append(read)
        results = await self._actuator.apply(orders) if orders else []
        for order, result in zip(orders, results, strict=True):
            if result.outcome == "enforced":
                self._rules.put(order)
        undone = [(command(each.order), each.outcome, each.detail) for each in results if each.outcome != "enforced"]
        return notes + undone

    def _order(self, command_id: str, network: str, expires: float, room: int) -> Order | Row:
        """The order of one denial in an update, or why it is none."""
        read, standing = read_network(network), self._rules.of(command_id)
        if read is None:
            return command_id, "refused", "not a network in CIDR notation"
        if standing is not None and standing.network != read:
            return command_id, "refused", "command_id stands for another network"
        if standing is None and room <= 0:
            return command_id, "failed", f"{MAX_RULES} rules stand"  # there may be room in a moment
        if expires <= self._actuator.clock():
            return command_id, "expired", "ended on its way"
        return Order(self._rules.order_id(command_id), read, expires)

    async def _list(self, action: ListOrders, age: float) -> Outcome:
        time = self._actuator.clock() + action.beyond - age
        try:
            standing = [found for found in await self._actuator.active() if number(found.id)]
        except NftError as error:
            return Outcome(500, str(error))
        if action.unless is not None and self._digest(standing, time) == action.unless:
            return Outcome(200, results={OURS: {"in_step": True}})
        orders = [{"rule_number": number(found.id), "command_id": command(found.id)} for found in standing]
        return Outcome(200, results={OURS: {"orders": orders}})

    def _digest(self, standing: list[Order], time: float) -> Digest:
        """Of the blocks that stand and live longer than `time`. A block stands a little longer than it was meant to."""
        names = [command(found.id) for found in standing if (self._rules.get(number(found.id)) or found).expires > time]
        return Digest.of(name for name in names if _BLOCK_ID.fullmatch(name))

    def _reply(self, order: Command, outcome: Outcome, said: dict[str, str] | None) -> Reply | None:
        _answers.labels(str(outcome.status)).inc()
        status, text, results = outcome
        if order.answer == "none":
            return None
        if order.answer == "ack" and status == 200:
            status, text = 102, ""
        if order.answer != "complete":
            results = {}
        payload = response(order, self._device, self._wall(), status, text, results, said)
        return Reply(response_topic(order.producer), payload)


def _features(names: tuple[str, ...]) -> dict[str, Any]:
    known = {"versions": ["1.0"], "profiles": ["slpf"], "pairs": PAIRS}  # no rate limit is kept, so none is stated
    return {name: known[name] for name in names if name in known}
