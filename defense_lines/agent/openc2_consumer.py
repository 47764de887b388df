"""An OpenC2 consumer with the SLPF profile: commands over MQTT 5, carried out by a real firewall on this host.

It obeys whom its enrolment names, and nobody else. Run as `python -m defense_lines.agent.openc2_consumer --host BROKER
--enrolment FILE`; the broker's password comes from PORTCULLIS_MQTT_PASSWORD alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog
import uvloop
from mqtt5 import PublishPacket
from prometheus_client import Counter

from defense_lines.agent.actuator import actuate
from defense_lines.agent.capabilities import Capability, CapabilityError, confine
from defense_lines.agent.firewall import Firewall
from defense_lines.agent.libnftables import NftablesUnavailable, NftError
from defense_lines.agent.openc2_gate import WORDS, Admitted, Gate, Refused, Why
from defense_lines.agent.openc2_message import arrival
from defense_lines.agent.openc2_mqtt import (
    RECEIVE,
    Broker,
    BrokerLost,
    Connection,
    kind,
    response_topic,
    stay_connected,
)
from defense_lines.agent.openc2_outbox import Outgoing
from defense_lines.agent.openc2_profile import Consumer, Outcome, PacketFilter, Reply
from defense_lines.agent.openc2_seal import Enrolment, read_enrolment, seal_answer
from defense_lines.agent.until_signal import until_signal
from telemetry import plain_logs

PRODUCER = "portcullis"  # the gateway's id as a producer

_log = structlog.get_logger()
_ignored = Counter("portcullis_defense_lines_openc2_ignored_total", "Messages that are no OpenC2 command in JSON")
_refused = Counter(
    "portcullis_defense_lines_openc2_refused_total", "Commands that did not come through the gate", ["why"]
)


class Sentry:
    """A consumer behind its gate: what it is told is checked, and what it answers is sealed."""

    def __init__(
        self, enrolment: Enrolment, topics: tuple[str, ...], actuator: PacketFilter, clock: Callable[[], float]
    ) -> None:
        """`clock` as the gate's."""
        self._consumer = Consumer(enrolment.device, actuator)
        self._device, self._secret = enrolment.device, enrolment.secret
        self._gate = Gate(enrolment.device, topics, enrolment.public, clock)
        self._logged: set[Why] = set()

    async def start(self) -> None:
        """Take over the rules that stand already."""
        await self._consumer.start()

    async def answer(self, message: bytes) -> Reply | None:
        """Carry out one command if it is to be obeyed; the sealed reply. Never raises for what comes from outside."""
        match self._gate.admit(message):
            case Admitted(inner, age, head):
                reply = await self._consumer.answer(inner, age, {"head": head} if head else None)
            case Refused(why):
                reply = self._refuse(message, why)
            case _:
                reply = None
        return reply._replace(payload=seal_answer(reply.payload, self._secret)) if reply else None

    def arrival(self) -> Reply:
        """What is told once connected: that we are there, and the nonce that binds us."""
        notification = arrival(self._device, self._consumer.now(), self._gate.nonce())
        return Reply(response_topic(PRODUCER), seal_answer(notification, self._secret))

    def _refuse(self, message: bytes, why: Why) -> Reply | None:
        _refused.labels(why).inc()
        if why not in self._logged:  # the first of each kind; who can publish shall not fill our disk
            self._logged.add(why)
            _log.warning("command refused", why=WORDS[why])
        status = 401 if why == "unsigned" else 403
        return self._consumer.refuse(
            message, Outcome(status, WORDS[why]), {"refused": why, "nonce": self._gate.nonce()}
        )


async def attend(
    broker: Broker,
    enrolment: Enrolment,
    actuator: PacketFilter,
    group: str = "slpf",
    clock: Callable[[], float] | None = None,
) -> None:
    """Answer the commands of one consumer until cancelled, through any loss of the broker."""
    topics = ("oc2/cmd/all", f"oc2/cmd/ap/{group}", f"oc2/cmd/device/{enrolment.device}")
    sentry = Sentry(enrolment, topics, actuator, clock or _since_boot)
    await sentry.start()
    inbox: asyncio.Queue[tuple[Connection, PublishPacket]] = asyncio.Queue(RECEIVE)

    def received(connection: Connection, message: PublishPacket) -> None:
        if kind(message) not in ("req", ""):
            _ignored.inc()
            connection.acknowledge(message)
            return
        try:
            inbox.put_nowait((connection, message))
        except asyncio.QueueFull:
            connection.close(BrokerLost(f"more than {RECEIVE} messages at once"))

    async def converse(connection: Connection) -> None:
        here = sentry.arrival()
        connection.publish(Outgoing(here.topic, here.payload, "ntf"))
        await connection.ended()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_answer(sentry, inbox))
        tasks.create_task(stay_connected(broker, f"oc2-{enrolment.device}", topics, received, converse))


async def _answer(sentry: Sentry, inbox: asyncio.Queue[tuple[Connection, PublishPacket]]) -> None:
    """Answer one after another; the loss of a connection interrupts no order that is being carried out."""
    while True:
        connection, message = await inbox.get()
        try:
            reply = await sentry.answer(message.payload)
            connection.acknowledge(message)
            if reply is not None:
                connection.publish(Outgoing(reply.topic, reply.payload, "rsp"))
        except Exception as error:  # a bug of ours
            connection.close(error)


async def consume(
    broker: Broker, enrolment: Enrolment, firewall: Firewall, stop: asyncio.Event, group: str = "slpf"
) -> None:
    """Answer commands until `stop`, through any loss of the broker; the rules go on standing.

    Raises CapabilityError or NftError if the firewall's table cannot stand.
    """
    async with actuate(firewall) as actuator, asyncio.TaskGroup() as tasks:
        attending = tasks.create_task(attend(broker, enrolment, actuator, group))
        await stop.wait()
        attending.cancel()


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main() -> int:
    """Run the consumer until SIGTERM or SIGINT; 1 if this host cannot do it."""
    plain_logs()
    parser = argparse.ArgumentParser(prog="portcullis-openc2-consumer", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the MQTT 5 broker")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--username")
    parser.add_argument("--table", default="portcullis_oc2", help="name of the nftables table, family inet")
    parser.add_argument("--group", default="slpf", help="commands for all come on oc2/cmd/ap/GROUP")
    parser.add_argument(
        "--enrolment", type=Path, required=True, help="file made by `defense_lines.lines.openc2_enrolment`"
    )
    arguments = parser.parse_args()
    try:
        enrolment = read_enrolment(arguments.enrolment)
        confine(frozenset({Capability.NET_ADMIN}))
        password = os.environ.pop("PORTCULLIS_MQTT_PASSWORD", None)
        broker = Broker(arguments.host, arguments.port, arguments.username, password)
        firewall = Firewall(arguments.table, ("saddr", "daddr"))  # SLPF: a net is the source or the destination
        uvloop.run(until_signal(lambda stop: consume(broker, enrolment, firewall, stop, arguments.group)))
    except (CapabilityError, NftablesUnavailable, NftError, OSError, ValueError) as error:
        sys.stderr.write(f"OpenC2 consumer: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
