"""An OpenC2 consumer with the SLPF profile: commands over MQTT 5, carried out by a real firewall on this host.

It answers 200 only for what the kernel enforces. Run as `python -m defense_lines.agent.openc2_consumer --host BROKER
--device ID`; the broker's password comes from PORTCULLIS_MQTT_PASSWORD alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import OrderedDict
from typing import Any, NamedTuple, Protocol

import aiomqtt
import uvloop
from prometheus_client import Counter

from defense_lines.agent.actuator import actuate
from defense_lines.agent.capabilities import Capability, CapabilityError, confine
from defense_lines.agent.firewall import Firewall, Result
from defense_lines.agent.libnftables import NftablesUnavailable, NftError
from defense_lines.agent.openc2_command import (
    PAIRS,
    Command,
    Delete,
    Deny,
    Fault,
    Features,
    ListOrders,
    read_command,
)
from defense_lines.agent.openc2_message import response
from defense_lines.agent.openc2_mqtt import (
    Broker,
    is_command,
    properties,
    publish,
    response_topic,
    stay_connected,
)
from defense_lines.agent.openc2_rules import MAX_RULES, Rules, command, number
from defense_lines.agent.orders import Order
from defense_lines.agent.until_signal import until_signal
from telemetry import plain_logs

REMEMBERED = 10_000  # answers kept, so that a command delivered twice gets the same one; beyond it the oldest go

_answers = Counter("portcullis_defense_lines_openc2_answers_total", "Commands answered, by status", ["status"])
_ignored = Counter("portcullis_defense_lines_openc2_ignored_total", "Messages that are no OpenC2 command in JSON")


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

    async def answer(self, payload: bytes) -> Reply | None:
        """Carry out one command; the reply, or None where none is wanted or the command is for others.

        Never raises for what comes from outside; a command whose request id was answered gets the same answer.
        """
        order = read_command(payload)
        if order.foreign or order.asset not in ("", self._device):
            return None
        key = f"{order.producer} {order.request_id}"
        if order.request_id and key in self._answered:
            return self._answered[key]
        outcome = await self._carry_out(order)
        _answers.labels(str(outcome.status)).inc()
        reply = self._reply(order, outcome)
        if order.request_id and not isinstance(order.action, Features | ListOrders):
            self._remember(key, reply)
        return reply

    async def _carry_out(self, order: Command) -> Outcome:
        self._rules.expire(self._actuator.clock())
        match order.action:
            case Fault(status, text):
                return Outcome(status, text)
            case Deny() as action:
                return await self._deny(action, order.command_id)
            case Delete(rule):
                return await self._delete(rule)
            case Features(names):
                return Outcome(200, results=_features(names))
            case _:
                return await self._list()

    async def _deny(self, action: Deny, command_id: str) -> Outcome:
        if len(self._rules) >= MAX_RULES:
            return Outcome(503, f"{MAX_RULES} rules stand")
        identity = self._rules.order_id(command_id)
        standing = self._rules.get(number(identity))
        if standing is not None and standing.network != action.network:
            return Outcome(400, "command_id stands for another network")
        order = Order(identity, action.network, self._actuator.clock() + action.seconds)
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

    async def _list(self) -> Outcome:
        try:
            standing = await self._actuator.active()
        except NftError as error:
            return Outcome(500, str(error))
        orders = [{"rule_number": number(found), "command_id": command(found)} for found in standing if number(found)]
        return Outcome(200, results={"x-portcullis": {"orders": orders}})

    def _reply(self, order: Command, outcome: Outcome) -> Reply | None:
        status, text, results = outcome
        if order.answer == "none":
            return None
        if order.answer == "ack" and status == 200:
            status, text = 102, ""
        if order.answer != "complete":
            results = {}
        payload = response(order, self._device, self._actuator.clock(), status, text, results)
        return Reply(response_topic(order.producer), payload)

    def _remember(self, key: str, reply: Reply | None) -> None:
        self._answered[key] = reply
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)


def _features(names: tuple[str, ...]) -> dict[str, Any]:
    known = {"versions": ["1.0"], "profiles": ["slpf"], "pairs": PAIRS}  # no rate limit is kept, so none is stated
    return {name: known[name] for name in names if name in known}


async def consume(broker: Broker, device: str, firewall: Firewall, stop: asyncio.Event) -> None:
    """Answer commands until `stop`, through any loss of the broker; the rules go on standing.

    Raises CapabilityError or NftError if the firewall's table cannot stand.
    """
    async with actuate(firewall) as actuator, asyncio.TaskGroup() as group:
        consumer = Consumer(device, actuator)
        await consumer.start()
        topics = ("oc2/cmd/all", "oc2/cmd/ap/slpf", f"oc2/cmd/device/{device}")
        listening = group.create_task(
            stay_connected(broker, f"oc2-{device}", topics, lambda connection: _listen(connection, consumer))
        )
        await stop.wait()
        listening.cancel()


async def _listen(connection: aiomqtt.Client, consumer: Consumer) -> None:
    async for message in connection.messages:
        if not isinstance(message.payload, bytes) or not is_command(message):
            _ignored.inc()
            continue
        reply = await consumer.answer(message.payload)
        if reply is not None:
            await publish(connection, reply.topic, reply.payload, properties("rsp"))


def main() -> int:
    """Run the consumer until SIGTERM or SIGINT; 1 if this host cannot do it."""
    plain_logs()
    parser = argparse.ArgumentParser(prog="portcullis-openc2-consumer", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the MQTT 5 broker")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--username")
    parser.add_argument("--table", default="portcullis_oc2", help="name of the nftables table, family inet")
    parser.add_argument("--device", required=True, help="this device's id in OpenC2 (asset_id)")
    arguments = parser.parse_args()
    try:
        confine(frozenset({Capability.NET_ADMIN}))
        password = os.environ.pop("PORTCULLIS_MQTT_PASSWORD", None)
        broker = Broker(arguments.host, arguments.port, arguments.username, password)
        firewall = Firewall(arguments.table, ("saddr", "daddr"))  # SLPF: a net is the source or the destination
        uvloop.run(until_signal(lambda stop: consume(broker, arguments.device, firewall, stop)))
    except (CapabilityError, NftablesUnavailable, NftError, ValueError) as error:
        sys.stderr.write(f"OpenC2 consumer: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
