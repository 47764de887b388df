"""Hundreds of OpenC2 consumers in one process, as they are; what they enforce is in memory.

`python -m bench.pushing.consumers PORT KEY FIRST COUNT`, until it is ended.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import uvloop

from bench.pushing.crowd import Crowd, crowd
from bench.pushing.site import Site, site
from defense_lines.agent.firewall import Result
from defense_lines.agent.openc2_consumer import attend
from defense_lines.agent.openc2_mqtt import Broker
from defense_lines.agent.openc2_seal import enrol
from defense_lines.agent.orders import Order
from defense_lines.lines.openc2_enrolment import signing_key
from gateway.config import Lines, OpenC2Lines
from gateway.config.detection import Broker as BrokerConfig

_APART = 0.005  # seconds from one consumer's start to the next's


class Memory:
    """A packet filter that only remembers."""

    def __init__(self) -> None:
        self._standing: dict[str, Order] = {}

    def clock(self) -> float:
        """See PacketFilter."""
        return time.time()

    async def apply(self, orders: list[Order]) -> list[Result]:
        """See PacketFilter."""
        self._standing.update((order.id, order) for order in orders)
        return [Result(order.id, "enforced") for order in orders]

    async def revoke(self, identities: list[str]) -> list[Result]:
        """See PacketFilter."""
        for identity in identities:
            self._standing.pop(identity, None)
        return [Result(identity, "lifted") for identity in identities]

    async def active(self) -> list[Order]:
        """See PacketFilter."""
        now = self.clock()
        return [order for order in self._standing.values() if order.expires > now]

    async def read(self) -> list[Order]:
        """See PacketFilter."""
        return list(self._standing.values())


def name(number: int) -> str:
    """Of a consumer."""
    return f"consumer-{number:05d}"


@asynccontextmanager
async def consumers(folder: Path, port: int, count: int, processes: int) -> AsyncIterator[tuple[Site, Crowd]]:
    """A gateway and so many consumers behind the broker on that port, once all are connected. Raises CannotRun."""
    names, key = [name(number) for number in range(count)], folder / "openc2.key"
    signing_key(key)
    key.chmod(0o644)  # the gateway may run as another user
    openc2 = OpenC2Lines(broker=BrokerConfig(port=port), consumers=tuple(names), signing_key=key)
    async with (
        site(folder / "site", Lines(openc2=openc2)) as ours,
        crowd(ours.admin, "bench.pushing.consumers", (str(port), str(key)), names, processes) as connected,
    ):
        yield ours, connected


def main(port: int, key: Path, first: int, count: int) -> None:
    """Run them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    gc.set_threshold(50_000, 20, 20)  # as the gateway has it
    uvloop.run(_run(Broker(port=port), key, range(first, first + count)))


async def _run(broker: Broker, key: Path, numbers: range) -> None:
    signed = signing_key(key)
    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            tasks.create_task(attend(broker, enrol(signed, name(number)), Memory()))
            await asyncio.sleep(_APART)
        gc.collect()
        gc.freeze()


if __name__ == "__main__":
    _, port, key, first, count = sys.argv
    main(int(port), Path(key), int(first), int(count))
