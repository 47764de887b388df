"""Hostile bytes on `lines.sock`, at both ends: the connection ends, and nothing is enforced that was not ordered."""

from __future__ import annotations

import asyncio
import socket

import msgspec
from defense_lines.agent.nftables_agent import attend
from defense_lines.lines.nftables import RemoteLine
from hypothesis import given, settings
from hypothesis import strategies as st

from defense_lines.agent import Firewall, Order, Result, frames
from defense_lines.agent.actuator import Actuator
from defense_lines.line import LineUnavailable
from telemetry import frame

junk = st.binary(max_size=300)
msgpack_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
shaped = st.fixed_dictionaries(
    {"type": st.sampled_from(["apply", "revoke", "active", "receipts", "enforced", "unable", "hello"])},
    optional={"request": msgpack_values, "blocks": msgpack_values, "head": msgpack_values, "receipts": msgpack_values},
)
streams = st.lists(junk | msgpack_values.map(frame) | shaped.map(frame), max_size=4).map(b"".join)


class Wall(Firewall):
    """A firewall that only remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Order] = []

    def apply(self, orders: list[Order], now: float) -> list[Result]:  # type: ignore[override]
        self.told += orders
        return [Result(order.id, "enforced") for order in orders]

    def revoke(self, identities: list[str], now: float) -> list[Result]:  # type: ignore[override]
        return [Result(identity, "lifted") for identity in identities]

    def active(self, now: float) -> list[str]:
        return []

    def close(self) -> None:
        pass


@settings(deadline=None)
@given(streams)
def test_any_bytes_to_the_agent(data: bytes) -> None:
    """The agent ends the connection when the bytes end or are no order; it never raises, and orders nothing of junk."""

    async def story() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        wall = Wall()
        actuator = Actuator(wall)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(5):
            await attend(reader, writer, actuator)
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        theirs.close()
        actuator.close()
        assert all(isinstance(order, Order) for order in wall.told)

    asyncio.run(story())


@settings(deadline=None)
@given(streams)
def test_any_bytes_to_the_gateway(data: bytes) -> None:
    """Whoever waits gets the answer to its own order or LineUnavailable; nothing else comes out, and nothing hangs."""

    async def story() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        line = RemoteLine(frames.Hello("nftables", ("address",)), writer)
        asking = asyncio.ensure_future(line.active())
        await asyncio.sleep(0)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(5):
            await line.listen(reader)
            try:
                answer = await asking
            except LineUnavailable:
                answer = ()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        theirs.close()
        assert isinstance(answer, tuple)

    asyncio.run(story())


@given(msgpack_values | shaped)
def test_any_message(value: object) -> None:
    """What decodes is one of the messages, whole; everything else is a DecodeError."""
    for decoder in (frames.HELLO, frames.ORDER, frames.ANSWER):
        try:
            found = decoder.decode(msgspec.msgpack.encode(value))
        except msgspec.DecodeError:
            continue
        assert isinstance(found, msgspec.Struct)
