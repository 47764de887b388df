"""Hostile OpenC2: whatever arrives, the consumer answers or keeps silent, and 200 to a deny means that it stands."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from defense_lines.agent import Order, Result
from defense_lines.agent.openc2_command import read_command
from defense_lines.agent.openc2_message import deny, read_response, request, response
from defense_lines.agent.openc2_profile import Consumer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)

DENY = request("r-1", "soc", 1.0, deny("198.51.100.0/24", 60, "b-00000000000000aa"))
DONE = response(read_command(DENY), "fw-1", 1.0, 200, "so it is", {"slpf": {"rule_number": 7}})
DEEP = b"[" * 400 + b"]" * 400  # deep enough to be read, and too deep for much that is done with it then


@st.composite
def mutations(draw: st.DrawFn, message: bytes) -> bytes:
    """A good message with up to four stretches of bytes replaced, so that it stays nearly good."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(message)))
        end = start + draw(st.integers(0, 3) | st.integers(0, len(message)))
        put = draw(st.binary(max_size=4) | st.sampled_from([b"\xff", b'"\xff"', b"\x00", b"{", DEEP, b"9" * 400]))
        message = message[:start] + put + message[end:]
    return message


class Filter:
    """A firewall in memory that fails at will."""

    def __init__(self, *, works: bool) -> None:
        self.works = works
        self.applied: list[Order] = []

    def clock(self) -> float:
        return 1_800_000_000.0

    async def apply(self, orders: list[Order]) -> list[Result]:
        if self.works:
            self.applied += orders
        return [Result(order.id, "enforced" if self.works else "failed", "") for order in orders]

    async def revoke(self, identities: list[str]) -> list[Result]:
        return [Result(identity, "lifted") for identity in identities]

    async def active(self) -> list[Order]:
        return self.applied

    async def read(self) -> list[Order]:
        return self.applied


def answer(payload: bytes, *, works: bool = True) -> tuple[int, Filter]:
    """Status of the consumer's reply (0 for none), and what its firewall did."""
    wall = Filter(works=works)
    reply = asyncio.run(Consumer("fw-1", wall).answer(read_command(payload)))
    if reply is None:
        return 0, wall
    assert "+" not in reply.topic
    assert "#" not in reply.topic
    said = msgspec.json.decode(reply.payload)["body"]["openc2"]["response"]
    assert said["status"] in (102, 200, 400, 404, 500, 501, 503)
    return said["status"], wall


@given(st.binary(max_size=2000))
def test_any_bytes(payload: bytes) -> None:
    """No exception; nothing is applied; never 200."""
    status, wall = answer(payload)
    assert status != 200
    assert wall.applied == []


@example(DENY.replace(b"soc", b"\xff"))
@example(DENY.replace(b'"soc"', b"[" * 60_000))
@given(mutations(DENY))
def test_a_command_with_some_bytes_changed(payload: bytes) -> None:
    """No exception; 200 if and only if something is applied."""
    status, wall = answer(payload)
    assert (status in (200, 102)) == bool(wall.applied) or status == 0


@given(json_values, st.booleans())
def test_any_json_as_the_command(body: Any, works: bool) -> None:
    """No exception; a deny that says 200 is applied, and nothing is applied without one."""
    status, wall = answer(request("r-1", "soc", 1.0, body), works=works)
    assert (status == 200) >= bool(wall.applied)


@given(st.data(), json_values, st.booleans())
def test_a_deny_with_any_one_part_replaced(data: st.DataObject, value: Any, works: bool) -> None:
    """200 if and only if the firewall enforces exactly what was asked; a firewall that fails is never 200."""
    command = copy.deepcopy(deny("198.51.100.0/24", 60, "b-00000000000000aa"))
    place: Any = command
    for _ in range(data.draw(st.integers(0, 2))):
        inner = [key for key in place if isinstance(place[key], dict) and place[key]]
        if not inner:
            break
        place = place[data.draw(st.sampled_from(sorted(inner)))]
    place[data.draw(st.sampled_from(sorted(place)) | st.text(max_size=8))] = value
    status, wall = answer(request("r-1", "soc", 1.0, command), works=works)
    assert (status in (200, 102)) == bool(wall.applied) or status == 0
    if wall.applied:
        (order,) = wall.applied
        assert str(order.network) == next(iter(command["target"].values())) or "/" not in str(command["target"])
    if not works:
        assert status != 200


@example(DONE.replace(b"so it is", b"\xff"))
@example(DONE.replace(b'"so it is"', DEEP))
@example(DONE.replace(b'"so it is"', b"[" * 60_000))
@given(st.binary(max_size=500) | json_values.map(msgspec.json.encode) | mutations(DONE))
def test_any_response(payload: bytes) -> None:
    """The producer reads it or passes it over; what it reads has a request id, a status, and rule numbers that are."""
    read = read_response(payload)
    if read is not None:
        assert isinstance(read.status, int)
        assert read.rule is None or isinstance(read.rule, int)
        assert read.orders is None or all(isinstance(rule, int) for rule in read.orders.values())


@given(json_values, json_values, json_values)
def test_any_response_of_the_right_shape(request_id: Any, status: Any, results: Any) -> None:
    """As above, one level deeper."""
    body = {"status": status, "results": results}
    message = {"headers": {"request_id": request_id, "created": status}, "body": {"openc2": {"response": body}}}
    read = read_response(msgspec.json.encode(message))
    if read is not None:
        assert read.request_id == request_id
        assert read.rule is None or read.rule == results["slpf"]["rule_number"]
