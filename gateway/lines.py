"""Which defense lines this gateway drives, from the configuration: those it connects to and those that connect."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from defense_lines import DefenseLine, Hub, Ledger
from defense_lines.agent.openc2_mqtt import Broker
from defense_lines.lines.openc2 import OpenC2Line
from defense_lines.lines.openc2_enrolment import signing_key
from defense_lines.lines.openc2_foreign import ForeignLine
from defense_lines.lines.openc2_producer import Producer
from gateway.config import Lines, OpenC2Lines
from gateway.keeping import keep_running
from gateway.line_agents import LOCAL, accept_agents
from telemetry import broker_tls


async def run_lines(settings: Lines, hub: Hub, ledger: Ledger, socket: Path) -> None:
    """Let agents connect on `socket`, and drive the OpenC2 consumers, until cancelled; each starts again alone."""
    openc2 = settings.openc2
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_running("lines", lambda: accept_agents(settings.agents, hub, ledger, socket)))
        if openc2 is not None:
            tasks.create_task(keep_running("openc2", lambda: _run_openc2(openc2, hub)))


def expected_lines(settings: Lines) -> tuple[str, ...]:
    """Names of the lines that this configuration promises, beside the edge."""
    nftables = (LOCAL,) if settings.nftables is not None else ()
    agents = settings.agents.tls.clients if settings.agents is not None else ()
    openc2 = (*settings.openc2.consumers, *settings.openc2.foreign) if settings.openc2 is not None else ()
    bouncers = tuple(settings.crowdsec.bouncers) if settings.crowdsec is not None else ()
    return nftables + agents + openc2 + bouncers


async def _run_openc2(settings: OpenC2Lines, hub: Hub) -> None:
    """Hold the broker's connection, and tell the hub whenever a consumer is there again."""
    broker = settings.broker
    password = broker.password.get_secret_value() if broker.password else None
    key = await asyncio.to_thread(signing_key, settings.signing_key)
    tls = partial(broker_tls, **dict(broker.tls)) if broker.tls else None
    where = Broker(broker.host, broker.port, broker.username, password, tls)
    producer = Producer(where, key, group=settings.group, timeout=settings.timeout_seconds)
    lines: list[DefenseLine] = [OpenC2Line(name, producer) for name in settings.consumers]
    lines += [ForeignLine(name, producer) for name in settings.foreign]
    for line in lines:
        hub.attach(line)
    try:
        await producer.run(hub.wake)
    finally:
        for line in lines:
            hub.detach(line)
