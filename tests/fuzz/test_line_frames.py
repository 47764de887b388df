"""Hostile messages between gateway and agent: one of the messages, whole, or the end of the connection."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defense_lines.agent.actuation import Memory
from defense_lines.agent.protocol import ANSWER, ENCODER, ORDER, Orders, Receipts, Unable
from defense_lines.line import LineBroken, LineUnavailable
from tests.defense_lines.agent_rig import Gateway, Host, batch, block
from tests.defense_lines.test_remote_line import HELLO, peer

junk = st.binary(max_size=300)
msgpack_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=20) | st.floats() | junk,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
tags = st.sampled_from(["welcome", "hello", "orders", "receipts", "out_of_sequence", "audit", "in_step", "enforced"])
shaped = st.tuples(tags, st.lists(msgpack_values, max_size=6)).map(lambda drawn: [drawn[0], *drawn[1]])
orders = st.lists(
    st.tuples(
        st.integers(-1, 5),
        st.sampled_from(["b-0000000000000001", "b-1", ""]),
        st.sampled_from(["10.0.0.1", "::/0", "0.0.0.0/0", "x", None]),
        st.floats(),
    ),
    max_size=4,
)
told = st.tuples(st.sampled_from([0, 1, None]), st.integers(-1, 5), st.just("head"), st.floats(), orders)
messages = junk | msgpack_values.map(ENCODER.encode) | shaped.map(ENCODER.encode)
messages |= told.map(lambda drawn: ENCODER.encode(["orders", *drawn]))


@given(messages)
def test_any_message(message: bytes) -> None:
    """What decodes is one of the messages, whole; everything else is a DecodeError."""
    for decoder in (ORDER, ANSWER):
        try:
            found = decoder.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        assert isinstance(found, msgspec.Struct)


@settings(deadline=None)
@given(st.lists(messages, max_size=5))
def test_any_orders_to_the_agent(tmp_path_factory: pytest.TempPathFactory, stream: list[bytes]) -> None:
    """Orders are answered or refused by a ValueError; what is enforced is what the journal says after a death."""
    host = Host(tmp_path_factory.mktemp("line"))
    for message in stream:
        try:
            found = ORDER.decode(message)
            if isinstance(found, Orders):
                host.enforcer.carry_out(found, message)
        except (ValueError, UnicodeDecodeError):
            continue
    held, cursor = dict(host.firewall.listing().ends), host.enforcer.book.cursor
    host.kill()
    host.firewall.ends.clear()
    host.start()
    assert (dict(host.firewall.listing().ends).keys(), host.enforcer.book.cursor) == (held.keys(), cursor)
    host.kill()


@settings(deadline=None, max_examples=50)
@given(st.lists(messages, min_size=1, max_size=3))
def test_any_answers_to_the_gateway(tmp_path_factory: pytest.TempPathFactory, stream: list[bytes]) -> None:
    """Whoever waits gets the answer to its own order or an error that says why; nothing else, and nothing hangs."""

    async def story() -> None:
        path = tmp_path_factory.mktemp("gateway") / "s"
        async with Gateway(path).listening() as gateway, peer(gateway, HELLO) as end:
            line = await gateway.attached.get()
            asking = asyncio.ensure_future(line.carry_out(batch(0, [block(1)])))
            await end.heard.get()
            for message in stream:
                end.send(message)
            end.say(Unable("the end"))
            try:
                receipts = await asking
            except (LineUnavailable, LineBroken):
                return
            assert receipts.head == "head"

    asyncio.run(story())


def test_the_messages_are_read_back() -> None:
    receipts = Receipts(1.0, 2.0, "head")
    assert ANSWER.decode(ENCODER.encode(receipts)) == receipts
    assert Memory().listing().foreign == 0
