"""Which defense lines this gateway drives, from the configuration: those it connects to and those that connect."""

from __future__ import annotations

import asyncio
from pathlib import Path

from defense_lines import GuardLimits, Hub
from defense_lines.agent.openc2_mqtt import Broker
from defense_lines.lines.nftables import accept_lines
from defense_lines.lines.openc2 import OpenC2Line as OpenC2Producer
from gateway.config import Edge, Guard, Lines, OpenC2Line
from gateway.keeping import keep_running

NFTABLES = "nftables"  # as its agent introduces itself


async def run_lines(settings: Lines, hub: Hub, socket: Path) -> None:
    """Let agents connect on `socket`, and drive the OpenC2 consumers, until cancelled; each starts again alone."""
    openc2 = settings.openc2
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_running("lines", lambda: accept_lines(socket, hub.attach, hub.detach)))
        if openc2 is not None:
            tasks.create_task(keep_running(OpenC2Producer.name, lambda: _run_openc2(openc2, hub)))


def expected_lines(settings: Lines) -> tuple[str, ...]:
    """Names of the lines that this configuration promises, beside the edge."""
    nftables = (NFTABLES,) if settings.nftables is not None else ()
    bouncers = tuple(settings.crowdsec.bouncers) if settings.crowdsec is not None else ()
    return nftables + ((OpenC2Producer.name,) if settings.openc2 is not None else ()) + bouncers


def guard_limits(settings: Guard, edge: Edge) -> GuardLimits:
    """The guard's own view of its branch. Who stands in front of the edge is never blocked: everybody comes by them."""
    limits = settings.model_dump()
    limits["never_block_addresses"] += (*edge.trusted_proxies, *edge.proxy_protocol_from)
    return GuardLimits(**limits)


async def _run_openc2(settings: OpenC2Line, hub: Hub) -> None:
    """Hold the broker's connection, and tell the hub whenever it is there again."""
    broker = settings.broker
    password = broker.password.get_secret_value() if broker.password else None
    line = OpenC2Producer(
        Broker(broker.host, broker.port, broker.username, password),
        actuator=settings.actuator,
        timeout=settings.timeout_seconds,
    )
    hub.attach(line)
    try:
        await line.run(lambda: hub.wake(line.name))
    finally:
        hub.detach(line)
