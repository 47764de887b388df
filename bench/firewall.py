"""A host's firewall with 100,000 blocks in it: what one more takes, and what coming back takes.

The nftables agent's own book, journal and kernel table, in a network namespace; orders as they come over the wire. One
more is measured from the message to the answer, journal and kernel between. The peer is `nft`, which adds an element to
a set as large.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from bench.system import open_folder, tool
from defense_lines.agent.actuation import since_boot
from defense_lines.agent.agent import Agent
from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Asked, Enforcer
from defense_lines.agent.journal import Journal
from defense_lines.agent.kernel import Kernel
from defense_lines.agent.protocol import ENCODER, Audit, InStep, Orders, Receipts, Welcome, WireOrder
from defense_lines.line import Digest
from deploy.demo import sandbox

STANDING, BATCH = 100_000, 1_000
LIFE = 3600.0  # seconds
MORE = 40  # blocks and elements in a round
_PEER = "add table inet peer; add set inet peer blocked { type ipv4_addr; flags timeout; }"


class Host:
    """One, with what it was told so far."""

    def __init__(self, folder: Path) -> None:
        self._journal = folder / "orders.journal"
        self.enforcer = self._enforcer()
        self.enforcer.welcome(Welcome("host", "ledger", 0, time.time()))
        self._told: list[str] = []

    def order(self, targets: Sequence[str]) -> float:
        """Have so many blocks enforced; milliseconds. Raises CannotRun."""
        first, expires = len(self._told) + 1, time.time() + LIFE
        orders = [WireOrder(n, f"b-{n:016x}", target, expires) for n, target in enumerate(targets, first)]
        told = Orders(first - 1, orders[-1].seq, "head", time.time(), tuple(orders))
        message = ENCODER.encode(told)
        start = time.perf_counter()
        answer = self.enforcer.carry_out(told, message)
        took = 1000 * (time.perf_counter() - start)
        if not isinstance(answer, Receipts) or answer.notes:
            raise CannotRun(f"the firewall did not take a batch: {answer!r}"[:500])
        self._told += (order.id for order in orders)
        return took

    async def again(self) -> float:
        """End the agent and start another; seconds until it has answered that all is enforced. Raises CannotRun."""
        self.enforcer.close()
        start = time.perf_counter()
        self.enforcer = self._enforcer()
        answer = await self._answer()
        took = time.perf_counter() - start
        if not isinstance(answer, InStep):
            raise CannotRun("not everything is enforced after a restart")
        return took

    async def _answer(self) -> object:
        digest = Digest.of(self._told)
        audit = Audit(digest.count, digest.sum, time.time())

        async def asked() -> Asked:
            return self.enforcer.asked(audit, since_boot())

        return await Agent(self.enforcer, Disk()).check(asked())

    def _enforcer(self) -> Enforcer:
        enforcer = Enforcer(*Journal.open(self._journal), Kernel("portcullis"))
        enforcer.start()
        return enforcer


def main(arguments: Sequence[str]) -> int:
    """`python -m bench firewall [--json] [--rounds N]`."""
    parser = argparse.ArgumentParser(prog="python -m bench firewall", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    try:
        sandbox.enter()
        with open_folder("firewall") as folder:
            result = asyncio.run(measure(folder, options.rounds, STANDING))
    except (CannotRun, sandbox.NoSandbox) as error:
        print(f"firewall: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


async def measure(folder: Path, rounds: int, standing: int) -> Result:
    """Fill both, and take turns. Raises CannotRun."""
    host, targets, elements = Host(folder), _targets(), _addresses()
    for _ in range(standing // BATCH):
        host.order([next(targets) for _ in range(BATCH)])
    _nft(_PEER)
    _nft(f"add element inet peer blocked {{ {', '.join(f'{next(elements)} timeout 1h' for _ in range(standing))} }}")
    ours, peers = list[list[float]](), list[list[float]]()
    for _ in range(rounds):
        ours.append(_taken(lambda: host.order([next(targets)])))
        peers.append(_taken(lambda: _nft(f"add element inet peer blocked {{ {next(elements)} timeout 1h }}")))
    again = [await host.again() for _ in range(rounds)]
    empty = []
    for _ in range(rounds):
        _nft("delete table inet portcullis")
        empty.append(await host.again())
    host.enforcer.close()
    return _result(ours, peers, again, empty, standing)


def _taken(one: Callable[[], float]) -> list[float]:
    taken = []
    for _ in range(MORE):
        taken.append(one())
        time.sleep(0.02)  # apart, as orders come: what one leaves behind is not the next one's cost
    return taken


def _nft(rules: str) -> float:
    """Milliseconds. Raises CannotRun."""
    start = time.perf_counter()
    done = subprocess.run((_program(), "-f", "-"), input=rules, text=True, capture_output=True, check=False)
    took = 1000 * (time.perf_counter() - start)
    if done.returncode:
        raise CannotRun(f"nft: {done.stderr.strip()[:500]}")
    return took


@cache
def _program() -> str:
    return tool("nft", "nftables")


def _targets() -> Iterator[str]:
    """Of ten, eight are addresses, one an address of IPv6 and one a range."""
    number = 0
    while True:
        number += 1
        high, low = number >> 8, number & 255
        if number % 10 == 0:
            yield f"2001:db8:{high:x}::{low:x}"
        elif number % 10 == 5:
            yield f"100.{64 + (number >> 16)}.{high & 255}.{low & 252}/30"
        else:
            yield f"10.{number >> 16}.{high & 255}.{low}"


def _addresses() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"10.{number >> 15}.{number >> 7 & 255}.{number & 127}"


def _result(
    ours: Sequence[Sequence[float]],
    peers: Sequence[Sequence[float]],
    again: Sequence[float],
    empty: Sequence[float],
    standing: int,
) -> Result:
    every = sorted(ms for taken in ours for ms in taken)
    figures = {
        "one_more_p50_ms": statistics.median(every),
        "one_more_p99_ms": every[len(every) * 99 // 100],
        "nft_p50_ms": statistics.median(ms for taken in peers for ms in taken),
        "restart_seconds": statistics.median(again),
        "restart_empty_kernel_seconds": statistics.median(empty),
    }
    medians = zip(map(statistics.median, ours), map(statistics.median, peers), strict=True)
    return Result(
        name="firewall",
        figures={name: round(value, 3) for name, value in figures.items()},
        ratios={"nft_p50": round(statistics.median(peer / own for own, peer in medians), 1)},
        peer="nft, a process each time, into a set of addresses as large",
        rounds=len(ours),
        machine=facts(),
        settings={
            "standing": f"{standing} blocks of an hour: eight of ten addresses, one of IPv6, one range",
            "one more": f"{MORE} in a round, one after another: journal, kernel, answer",
            "restart": "from opening the journal until an audit is answered: all is enforced",
        },
    )
