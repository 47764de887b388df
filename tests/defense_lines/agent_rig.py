"""Agents and gateways for tests: clocks that are set by hand, orders, and the gateway's end on a Unix socket."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from defense_lines.agent.actuation import Firewall, Memory
from defense_lines.agent.agent import Agent, Connect
from defense_lines.agent.connecting import over_unix
from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Enforcer
from defense_lines.agent.journal import Journal
from defense_lines.agent.protocol import ENCODER, PATH, Answer, WireOrder
from defense_lines.agent.protocol import Orders as WireOrders
from defense_lines.line import Order, Orders
from defense_lines.lines.remote import Followed, RemoteLine, RemoteLines
from policy import BlockPolicy, Cause, Target, TargetKind

PATIENCE = 50.0  # seconds
LEDGER = "0123456789abcdef"


def block(number: int, value: str = "", kind: TargetKind = "address", ttl: float = 60) -> BlockPolicy:
    now = time.time()
    value = value or f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    cause = Cause(reason="test", by="analyst:jo")
    target = Target(kind, value)
    return BlockPolicy(id=f"b-{number:016x}", target=target, created=now, expires=now + ttl, cause=cause)


def batch(
    after: int | None, blocks: Sequence[BlockPolicy | str], head: str = "head", upto: int | None = None
) -> Orders:
    """Orders for blocks, and lifts for ids, one entry each."""
    seqs = itertools.count((after or 0) + 1)
    orders = tuple(
        Order(next(seqs), each, None) if isinstance(each, str) else Order(next(seqs), each.id, each) for each in blocks
    )
    last = (after or 0) + len(blocks) if upto is None else upto
    return Orders(after=after, upto=last, orders=orders, head=head, time=time.time())


class Clocks:
    """A host: its own clock, the time since its boot, and the gateway's clock, which is right."""

    def __init__(self, wrong: float = 0.0) -> None:
        self.passed = 1_000.0
        self.booted = 0.0
        self.wrong = wrong  # seconds by which the host's own clock is

    def gateway(self) -> float:
        return 1_700_000_000.0 + self.passed

    def wall(self) -> float:
        return self.gateway() + self.wrong

    def boottime(self) -> float:
        return self.passed - self.booted


class Host:
    """An enforcer over a journal on disk, which can be killed, and its host booted anew."""

    def __init__(self, folder: Path, clocks: Clocks | None = None, ledger: str = LEDGER) -> None:
        self.clocks = clocks or Clocks()
        self.path = folder / "orders.journal"
        self.firewall = Memory(self.clocks.boottime)
        self.start()
        if ledger and not self.enforcer.journal.ledger:
            self.enforcer._begin_anew(ledger)

    def start(self) -> None:
        journal, told = Journal.open(self.path)
        self.enforcer = Enforcer(journal, told, self.firewall, self.clocks.wall, self.clocks.boottime)
        self.enforcer.start()

    def kill(self) -> None:
        """The process is gone; what the system was given stays."""
        self.enforcer.journal.close()

    def tell(self, after: int | None, *orders: WireOrder, upto: int | None = None, time: float = 0.0) -> Answer:
        last = max((order.seq for order in orders), default=after or 0) if upto is None else upto
        told = WireOrders(after, last, "head", time or self.clocks.gateway(), orders)
        return self.enforcer.carry_out(told, ENCODER.encode(told))

    def check(self) -> None:
        self.enforcer.listing_begins()
        self.enforcer.check(self.firewall.listing())

    def enforced(self) -> set[str]:
        """Addresses that the firewall blocks at this moment."""
        return {".".join(map(str, prefix[:4])) for prefix in self.firewall.listing().ends}


class Gateway:
    """What a hub would do: keeps the lines that are attached."""

    def __init__(self, path: Path, name: str = "nftables", ledger: str = LEDGER, last: int = 1 << 40) -> None:
        self.path = path
        self.name = name
        self.ended = asyncio.Event()  # a connection has
        self.attached: asyncio.Queue[RemoteLine] = asyncio.Queue()
        self.detached: asyncio.Queue[RemoteLine] = asyncio.Queue()
        followed = Followed(ledger, lambda: last)
        self.lines = RemoteLines(followed, self.attached.put_nowait, self.detached.put_nowait)

    def connection(self) -> asyncio.BaseProtocol:
        return self.lines.connection(self.identify, self.ended.set)

    def identify(self, _: asyncio.BaseTransport, path: str) -> str:
        return self.name if path == PATH else ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Gateway]:
        loop = asyncio.get_running_loop()
        self.path.unlink(missing_ok=True)
        server = await loop.create_unix_server(self.connection, str(self.path))
        try:
            async with asyncio.timeout(PATIENCE):
                yield self
        finally:
            server.close()
            self.lines.close()
            while self.lines.living:  # noqa: ASYNC110 - it can only be asked
                await asyncio.sleep(0)


@asynccontextmanager
async def agent(folder: Path, connect: Connect, firewall: Firewall | None = None) -> AsyncIterator[Agent]:
    """One that serves."""
    journal, told = Journal.open(folder / "orders.journal")
    disk = Disk()
    made = Agent(Enforcer(journal, told, firewall or Memory()), disk)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(disk.run()), tasks.create_task(made.serve(connect))]
        try:
            yield made
        finally:
            for task in running:
                task.cancel()


def local(gateway: Gateway) -> Connect:
    return over_unix(gateway.path)
