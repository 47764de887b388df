"""An OpenC2 consumer with the SLPF profile: commands over MQTT 5, carried out by a real firewall on this host.

It obeys whom its enrolment names, and nobody else. Run as `python -m defense_lines.agent.openc2_consumer --host BROKER
--enrolment FILE`; the broker's password comes from PORTCULLIS_MQTT_PASSWORD alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvloop

from defense_lines.agent.actuation import since_boot
from defense_lines.agent.actuator import actuate
from defense_lines.agent.capabilities import Capability, CapabilityError, confine
from defense_lines.agent.firewall import Firewall
from defense_lines.agent.libnftables import NftablesUnavailable, NftError
from defense_lines.agent.openc2_desk import Desk
from defense_lines.agent.openc2_mqtt import GROUP, Broker, stay_connected
from defense_lines.agent.openc2_profile import PacketFilter
from defense_lines.agent.openc2_seal import Enrolment, read_enrolment
from defense_lines.agent.openc2_sentry import Sentry
from defense_lines.agent.until_signal import until_signal
from telemetry import broker_tls, plain_logs


async def attend(
    broker: Broker,
    enrolment: Enrolment,
    actuator: PacketFilter,
    group: str = GROUP,
    clock: Callable[[], float] = since_boot,
    wall: Callable[[], float] = time.time,
) -> None:
    """Answer the commands of one consumer until cancelled, through any loss of the broker.

    `clock` as the gate's; `wall` gives Unix seconds, for people.
    """
    own = f"oc2/cmd/device/{enrolment.device}"
    topics = tuple(dict.fromkeys(("oc2/cmd/all", "oc2/cmd/ap/slpf", f"oc2/cmd/ap/{group}", own)))
    sentry = Sentry(enrolment, topics, actuator, clock, wall)
    await sentry.start()
    desk = Desk(sentry)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run())
        tasks.create_task(stay_connected(broker, f"oc2-{enrolment.device}", topics, desk.received, desk.converse))


async def consume(
    broker: Broker, enrolment: Enrolment, firewall: Firewall, stop: asyncio.Event, group: str = GROUP
) -> None:
    """Answer commands until `stop`, through any loss of the broker; the rules go on standing.

    Raises CapabilityError or NftError if the firewall's table cannot stand.
    """
    async with actuate(firewall) as actuator, asyncio.TaskGroup() as tasks:
        attending = tasks.create_task(attend(broker, enrolment, actuator, group))
        await stop.wait()
        attending.cancel()


def _tls(arguments: argparse.Namespace) -> Callable[[], ssl.SSLContext] | None:
    """Raises OSError for files that cannot be read: better at once than at each attempt to connect."""
    if arguments.ca is None and arguments.certificate is None:
        return None
    made = partial(broker_tls, arguments.ca, arguments.certificate, arguments.key)
    made()
    return made


def main() -> int:
    """Run the consumer until SIGTERM or SIGINT; 1 if this host cannot do it."""
    plain_logs()
    parser = argparse.ArgumentParser(prog="portcullis-openc2-consumer", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the MQTT 5 broker")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--username")
    parser.add_argument("--ca", type=Path, help="TLS to the broker: who vouches for it (PEM); the system's if not said")
    parser.add_argument("--certificate", type=Path, help="TLS to the broker: ours (PEM), where it asks for one")
    parser.add_argument("--key", type=Path, help="its private key (PEM)")
    parser.add_argument("--table", default="portcullis_oc2", help="name of the nftables table, family inet")
    parser.add_argument("--group", default=GROUP, help="commands for all come on oc2/cmd/ap/GROUP")
    parser.add_argument(
        "--enrolment", type=Path, required=True, help="file made by `defense_lines.lines.openc2_enrolment`"
    )
    arguments = parser.parse_args()
    if (arguments.certificate is None) != (arguments.key is None):
        parser.error("--certificate and --key come together")
    try:
        enrolment = read_enrolment(arguments.enrolment)
        confine(frozenset({Capability.NET_ADMIN}))
        password = os.environ.pop("PORTCULLIS_MQTT_PASSWORD", None)
        broker = Broker(arguments.host, arguments.port, arguments.username, password, _tls(arguments))
        firewall = Firewall(arguments.table, ("saddr", "daddr"))  # SLPF: a net is the source or the destination
        uvloop.run(until_signal(lambda stop: consume(broker, enrolment, firewall, stop, arguments.group)))
    except (CapabilityError, NftablesUnavailable, NftError, OSError, ValueError) as error:
        sys.stderr.write(f"OpenC2 consumer: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
