"""Which defense lines this gateway drives, from the configuration: those it connects to and those that connect."""

from __future__ import annotations

import asyncio
from pathlib import Path

from defense_lines import GuardLimits, Hub
from defense_lines.agent.openc2_mqtt import Broker
from defense_lines.lines.nftables import accept_lines
from defense_lines.lines.openc2 import OpenC2Line as OpenC2Producer
from gateway.config import Guard, Lines, OpenC2Line


async def run_lines(settings: Lines, hub: Hub, socket: Path) -> None:
    """Let agents connect on `socket`, and drive the OpenC2 consumers, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(accept_lines(socket, hub.attach, hub.detach))
        if settings.openc2 is not None:
            tasks.create_task(_run_openc2(settings.openc2, hub))


def guard_limits(settings: Guard) -> GuardLimits:
    """The guard's own view of its branch."""
    return GuardLimits(**settings.model_dump())


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
    await line.run(lambda: hub.wake(line.name))
