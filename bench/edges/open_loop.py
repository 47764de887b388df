"""Requests that are due at fixed moments, whether or not those before were answered: what they wait is their latency.

The caller is a process of its own, `python -m bench.edges.open_loop`, with one order on standard input and what it
found on standard output, as JSON. A request counts from the moment at which it was due (CLOCK_MONOTONIC), so that
waiting for a free connection counts too, and neither a slow edge nor a slow caller makes fewer requests. One that is
not answered by the end has waited until then.
"""

from __future__ import annotations

import asyncio
import gc
import select
import sys
import time
from collections import deque
from collections.abc import Sequence

import msgspec

from bench.edges.lanes import Grpc, Http1, Lane, connection
from bench.edges.side import Side
from bench.edges.timer import Timer
from bench.edges.variant import Variant
from bench.result import CannotRun

UNDER_WAY = 64  # requests; those that are due beyond it wait in the caller
_GRPC_LANES = 4
_SOON = 50_000_000  # nanoseconds until the first is due
_DEADLINE = 10.0  # seconds for an answer before anything is due
_GRACE = 200_000_000  # after the last was due


class Order(msgspec.Struct):
    """What to ask for, and how often."""

    port: int
    grpc: bool
    tls: bool
    path: str
    token: str
    every_ns: int
    count: int


class Latency(msgspec.Struct):
    """What the requests waited."""

    p50_us: float
    p99_us: float
    carried: float  # share of them that was answered in time


async def at_rate(side: Side, variant: Variant, token: str, rate: float, seconds: int) -> Latency:
    """Ask a side so many times a second. Raises CannotRun when one is refused."""
    order = Order(
        side.port, variant.grpc, variant.tls, variant.path, token, every_ns=int(1e9 / rate), count=int(rate * seconds)
    )
    command = (sys.executable, "-m", "bench.edges.open_loop")
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    said, _ = await child.communicate(msgspec.json.encode(order))
    if child.returncode:
        raise CannotRun(f"{side.name} was not asked to the end at {rate:,.0f} a second")
    return msgspec.json.decode(said, type=Latency)


class Caller:
    """Sends what is due and notes what was answered."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = {lane.socket.fileno(): lane for lane in lanes}
        self._free = deque(lane for lane in lanes for _ in range(lane.room))
        self._waiting: deque[int] = deque()  # due, and no lane is free
        self._poll = select.epoll()
        for descriptor in self._lanes:
            self._poll.register(descriptor, select.EPOLLIN)

    def warm(self) -> None:
        """One request on each lane: it is connected, and the edge upstream. Raises CannotRun."""
        for lane in self._lanes.values():
            lane.send(0)
        missing = len(self._lanes)
        while missing:
            ready = self._poll.poll(timeout=_DEADLINE)
            if not ready:
                raise CannotRun("an edge that does not answer")
            missing -= sum(len(self._lanes[descriptor].received()) for descriptor, _ in ready)

    def run(self, first: int, every: int, count: int) -> Latency:
        """Ask so many times, first at `first` (CLOCK_MONOTONIC) and again after `every` nanoseconds."""
        due = deque(range(first, first + every * count, every))
        end, unanswered, waited = due[-1] + _GRACE, set(due), list[int]()
        with Timer(first, every) as timer:
            self._poll.register(timer.descriptor, select.EPOLLIN)
            while unanswered and time.monotonic_ns() < end:
                for descriptor, _ in self._poll.poll(timeout=_GRACE / 1e9):
                    if descriptor == timer.descriptor:
                        self._waiting.extend(due.popleft() for _ in range(min(timer.passed(), len(due))))
                    else:
                        self._receive(self._lanes[descriptor], unanswered, waited)
                while self._waiting and self._free:
                    self._free.popleft().send(self._waiting.popleft())
        return _latency(waited, [end - one for one in unanswered])

    def _receive(self, lane: Lane, unanswered: set[int], waited: list[int]) -> None:
        answered, now = lane.received(), time.monotonic_ns()
        for one in answered:
            unanswered.discard(one)
            waited.append(now - one)
            self._free.append(lane)


def _latency(answered: list[int], others: list[int]) -> Latency:
    waited = sorted(answered + others)
    p50, p99 = (waited[int(share * (len(waited) - 1))] / 1000 for share in (0.50, 0.99))
    return Latency(p50, p99, len(answered) / len(waited))


def main() -> None:
    """Carry one order out."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    caller = Caller(_lanes(order))
    caller.warm()
    gc.disable()  # no pause of ours in what is measured
    found = caller.run(time.monotonic_ns() + _SOON, order.every_ns, order.count)
    sys.stdout.buffer.write(msgspec.json.encode(found))


def _lanes(order: Order) -> list[Lane]:
    protocol, lanes = ("h2", _GRPC_LANES) if order.grpc else ("http/1.1", UNDER_WAY)
    made = [connection(order.port, protocol, order.tls) for _ in range(lanes)]
    if order.grpc:
        return [Grpc(one, order.path, order.token, UNDER_WAY // _GRPC_LANES) for one in made]
    return [Http1(one, order.path, order.token) for one in made]


if __name__ == "__main__":
    main()
