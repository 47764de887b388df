"""The SLPF profile over a real firewall: what becomes of each command. 200 is answered for what the kernel enforces."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
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
    read_command,
    read_network,
)
from defense_lines.agent.openc2_message import OURS, response
from defense_lines.agent.openc2_mqtt import response_topic
from defense_lines.agent.openc2_rules import MAX_RULES, Rules, command, number
from defense_lines.agent.orders import Order
from defense_lines.line import Digest

REMEMBERED = 10_000  # answers kept, so that a command delivered twice gets the same one; beyond it the oldest go

_BLOCK_ID = re.compile(r"b-[0-9a-f]{16}")
_answers = Counter("portcullis_defense_lines_openc2_answers_total", "Commands answered, by status", ["status"])

Row = tuple[str, str, str]  # command id, outcome, words


class PacketFilter(Protocol):
    """What carries out the rules: an Actuator."""

    def clock(self) -> float:
        """Unix seconds."""
        ...

    async def apply(self, orders: list[Order]) -> list[Result]:
        """Drop packets of these networks."""
        ...

    async def revoke(self, identities: list[str]) -> list[Result]:
        """Drop them no longer."""
        ...

    async def active(self) -> list[str]:
        """Ids enforced at this moment. Raises NftError."""
        ...

    async def orders(self) -> list[Order]:
        """The order book."""
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

    def __init__(self, device: str, actuator: PacketFilter) -> None:
        self._device = device
        self._actuator = actuator
        self._rules = Rules()
        self._answered: OrderedDict[str, Reply | None] = OrderedDict()

    async def start(self) -> None:
        """Take over the rules that stand already."""
        self._rules = Rules(await self._actuator.orders(), last=int(self._actuator.clock()))

    async def answer(self, payload: bytes, age: float = 0.0, said: dict[str, str] | None = None) -> Reply | None:
        """Carry out one command that was `age` seconds on its way; the reply, or None where none is wanted or the
        command is for others. `said` is echoed in its header.

        Never raises for what comes from outside; a command whose request id was answered gets the same answer.
        """
        order = read_command(payload)
        if order.foreign or order.asset not in ("", self._device):
            return None
        key = f"{order.producer} {order.request_id}"
        if order.request_id and key in self._answered:
            return self._answered[key]
        outcome = await self._carry_out(order, age)
        reply = self._reply(order, outcome, said)
        if order.request_id and not isinstance(order.action, Features | ListOrders):
            self._remember(key, reply)
        return reply

    def refuse(self, payload: bytes, outcome: Outcome, said: dict[str, str]) -> Reply | None:
        """The reply to a command that is not carried out, whatever it is."""
        order = read_command(payload)
        return self._reply(order, outcome, said)

    def now(self) -> float:
        """Unix seconds by this host's clock."""
        return self._actuator.clock()

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
                return await self._list(action)

    async def _deny(self, action: Deny, command_id: str, age: float) -> Outcome:
        if len(self._rules) >= MAX_RULES:
            return Outcome(503, f"{MAX_RULES} rules stand")
        identity = self._rules.order_id(command_id)
        standing = self._rules.get(number(identity))
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
        notes = await self._end(action.delete)
        notes += await self._put(action.deny, age)
        return Outcome(200, results={OURS: {"notes": notes}} if notes else {})

    async def _end(self, command_ids: tuple[str, ...]) -> list[Row]:
        standing = [order for order in map(self._rules.of, command_ids) if order]
        results = await self._actuator.revoke([order.id for order in standing]) if standing else []
        for order, result in zip(standing, results, strict=True):
            if result.outcome == "lifted":
                self._rules.remove(order)
        return [(command(each.order), each.outcome, each.detail) for each in results if each.outcome != "lifted"]

    async def _put(self, denials: tuple[tuple[str, str, int], ...], age: float) -> list[Row]:
        orders: list[Order] = []
        notes: list[Row] = []
        for command_id, network, milliseconds in denials:
            read = self._order(command_id, network, milliseconds / 1000 - age, len(orders))
            if isinstance(read, Order):
                orders.append(read)
            else:
                notes.append(read)
        results = await self._actuator.apply(orders) if orders else []
        for order, result in zip(orders, results, strict=True):
            if result.outcome == "enforced":
                self._rules.put(order)
        undone = [(command(each.order), each.outcome, each.detail) for each in results if each.outcome != "enforced"]
        return notes + undone

    def _order(self, command_id: str, network: str, seconds: float, more: int) -> Order | Row:
        """The order of one denial in an update, or why it is none."""
        read, standing = read_network(network), self._rules.of(command_id)
        if read is None:
            return command_id, "refused", "not a network in CIDR notation"
        if standing is not None and standing.network != read:
            return command_id, "refused", "command_id stands for another network"
        if standing is None and len(self._rules) + more >= MAX_RULES:
            return command_id, "failed", f"{MAX_RULES} rules stand"
        if seconds <= 0:
            return command_id, "expired", "ended on its way"
        return Order(self._rules.order_id(command_id), read, self.now() + seconds)

    async def _list(self, action: ListOrders) -> Outcome:
        try:
            standing = [found for found in await self._actuator.active() if number(found)]
        except NftError as error:
            return Outcome(500, str(error))
        if action.unless is not None and self._digest(standing, self.now() + action.beyond) == action.unless:
            return Outcome(200, results={OURS: {"in_step": True}})
        orders = [{"rule_number": number(found), "command_id": command(found)} for found in standing]
        return Outcome(200, results={OURS: {"orders": orders}})

    def _digest(self, standing: list[str], time: float) -> Digest:
        """Of the blocks that stand and live longer than `time`."""
        ends = {found: order.expires if (order := self._rules.get(number(found))) else math.inf for found in standing}
        names = [command(found) for found in standing if ends[found] > time]
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
        payload = response(order, self._device, self.now(), status, text, results, said)
        return Reply(response_topic(order.producer), payload)

    def _remember(self, key: str, reply: Reply | None) -> None:
        self._answered[key] = reply
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)


def _features(names: tuple[str, ...]) -> dict[str, Any]:
    known = {"versions": ["1.0"], "profiles": ["slpf"], "pairs": PAIRS}  # no rate limit is kept, so none is stated
    return {name: known[name] for name in names if name in known}
