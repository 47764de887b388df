"""The nftables line's own process: it holds CAP_NET_ADMIN alone, connects to the gateway and carries out its orders.

Away from the gateway it does nothing but try again: what stands in the kernel is enforced and ends on time by itself.
Run as `python -m defense_lines.agent.nftables_agent --socket PATH --table NAME`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
import uvloop
from prometheus_client import Counter

from defense_lines.agent.actuator import Actuator, actuate
from defense_lines.agent.capabilities import Capability, CapabilityError, confine
from defense_lines.agent.firewall import Firewall, Result
from defense_lines.agent.frames import (
    MAX_BATCH,
    MAX_ORDER,
    ORDER,
    Active,
    Answer,
    Apply,
    Enforced,
    Hello,
    OrderFrame,
    Receipts,
    Revoke,
    Unable,
    peer_uid,
)
from defense_lines.agent.libnftables import NftablesUnavailable, NftError
from defense_lines.agent.orders import InvalidOrder, Order
from defense_lines.agent.until_signal import until_signal
from defense_lines.line import Receipt
from policy import BlockPolicy
from telemetry import FrameError, frame, plain_logs, read_frame

NAME = "nftables"
BACKOFF_SECONDS = (0.05, 2.0)  # first and longest wait before connecting again

_log = structlog.get_logger()
_malformed = Counter("portcullis_defense_lines_agent_malformed_total", "Frames that closed the gateway's connection")


async def serve(socket: Path, table: str, stop: asyncio.Event) -> None:
    """Carry out the gateway's orders until `stop`; the table goes on standing.

    Raises NftablesUnavailable, CapabilityError or NftError if the table cannot stand.
    """
    async with actuate(Firewall(table)) as actuator, asyncio.TaskGroup() as group:
        connecting = group.create_task(_reconnect(socket, actuator))
        await stop.wait()
        connecting.cancel()


async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, actuator: Actuator) -> int:
    """Introduce the line, then carry out one order after another until either end closes the connection; how many.

    A frame that is not an order, or is too large, closes it and is counted.
    """
    done = 0
    try:
        if peer_uid(writer) not in (os.geteuid(), 0):
            raise FrameError("the gateway's end of the socket belongs to another user")
        writer.write(frame(Hello(NAME, ("address", "range"))))
        while True:
            order = await read_frame(reader, ORDER, MAX_ORDER)
            writer.write(frame(await _carry_out(order, actuator)))
            await writer.drain()
            done += 1
    except FrameError as error:
        _malformed.inc()
        _log.warning("gateway's connection closed", error=str(error))
    except (EOFError, OSError) as error:
        _log.info("gateway is away", reason=str(error) or "closed")
    finally:
        writer.close()
    return done


async def _reconnect(socket: Path, actuator: Actuator) -> None:
    wait = BACKOFF_SECONDS[0]
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(str(socket))
        except OSError:
            done = 0
        else:
            _log.info("connected to the gateway", socket=str(socket))
            done = await attend(reader, writer, actuator)
        wait = BACKOFF_SECONDS[0] if done else min(2 * wait, BACKOFF_SECONDS[1])
        await asyncio.sleep(wait)


async def _carry_out(order: OrderFrame, actuator: Actuator) -> Answer:
    if isinstance(order, Active):
        try:
            return Enforced(order.request, tuple(await actuator.active()))
        except NftError as error:
            return Unable(order.request, str(error))
    if len(order.blocks) > MAX_BATCH:
        raise FrameError(f"{len(order.blocks)} blocks in one order, limit {MAX_BATCH}")
    start = time.perf_counter()
    results = await _apply(order, actuator) if isinstance(order, Apply) else await _revoke(order, actuator)
    ids = [block.id for block in order.blocks] if isinstance(order, Apply) else order.blocks
    ms = (time.perf_counter() - start) * 1000
    receipts = (_receipt(results[identity], actuator.clock(), ms, order.head) for identity in ids)
    return Receipts(order.request, tuple(receipts))


async def _apply(order: Apply, actuator: Actuator) -> Mapping[str, Result]:
    orders, results = _sort(order.blocks)
    done = await actuator.apply(orders) if orders else []
    return results | {result.order: result for result in done}


async def _revoke(order: Revoke, actuator: Actuator) -> Mapping[str, Result]:
    return {result.order: result for result in await actuator.revoke(order.blocks)}


def _sort(blocks: Sequence[BlockPolicy]) -> tuple[list[Order], dict[str, Result]]:
    """The orders that a firewall can carry out, and a refusal for each other block."""
    orders: list[Order] = []
    refused: dict[str, Result] = {}
    for block in blocks:
        try:
            orders.append(Order.of(block))
        except InvalidOrder as error:
            refused[block.id] = Result(block.id, "refused", str(error))
    return orders, refused


def _receipt(result: Result, now: float, ms: float, head: str) -> Receipt:
    return Receipt(
        block=result.order, line=NAME, outcome=result.outcome, time=now, ms=ms, detail=result.detail, head=head
    )


def main() -> int:
    """Run the agent until SIGTERM or SIGINT; 1 if this host cannot do it."""
    plain_logs()
    parser = argparse.ArgumentParser(prog="portcullis-nftables-agent", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="the gateway's lines.sock")
    parser.add_argument("--table", default="portcullis", help="name of the nftables table, family inet")
    arguments = parser.parse_args()
    try:
        confine(frozenset({Capability.NET_ADMIN}))
        uvloop.run(until_signal(lambda stop: serve(arguments.socket, arguments.table, stop)))
    except (CapabilityError, NftablesUnavailable, NftError, ValueError) as error:
        sys.stderr.write(f"nftables line: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
