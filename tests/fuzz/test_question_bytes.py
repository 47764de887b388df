"""Hostile bytes where the edge asks: whatever comes, in whatever pieces, nothing passes and nothing breaks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.enforcement.questions import Questions
from gateway.enforcement.reuse import Reusing
from gateway.identity import UnknownKey
from tests.gateway.parts import Bank
from tests.gateway.questioner import HEADERS, Answered, answered, asking


class Wire(asyncio.Transport):
    """What the protocol writes, and whether it closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def answers(self) -> list[Answered]:
        """All after the hello."""
        found, at = [], 4 + int.from_bytes(self.sent[:4], "little")
        while at < len(self.sent):
            end = at + 4 + int.from_bytes(self.sent[at : at + 4], "little")
            found.append(answered(self.sent[at:end]))
            at = end
        return found


@cache
def bank() -> Bank:
    """One judge that knows its issuer's key."""
    made = Bank()
    asyncio.run(made._ask(UnknownKey(made.config.identity.issuers[0].issuer)))
    return made


@cache
def good() -> bytes:
    """A question that is answered with yes."""
    headers = {"authorization": f"Bearer {bank().token()}", "x-forwarded-for": "10.0.0.5"}
    return asking("POST", "/pay?x", headers, b'{"amount":5}')


async def fed(pieces: Iterator[bytes], judge: Any) -> Wire:
    """Feed the pieces as a socket would, which gives nothing more once closed; then what waits is answered."""
    wire, protocol = Wire(), Questions(judge, Reusing(5.0, 15.0), 1)
    protocol.connection_made(wire)
    for piece in pieces:
        protocol.data_received(piece)
        await settled()
        if wire.closed:
            break
    return wire


async def settled() -> None:
    """Whatever the protocol started has ended."""
    async with asyncio.timeout(5):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)


def feed(pieces: Iterator[bytes]) -> Wire:
    return asyncio.run(fed(pieces, bank().judge))


def cut(data: bytes, at: list[int]) -> Iterator[bytes]:
    """The data in pieces that end at these places."""
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return (data[start:end] for start, end in pairwise(places) if start < end)


def check(wire: Wire, *, may_pass: bool) -> None:
    """Closed, waiting for more or answered; a yes only where it may be, and no answer of another kind than we give."""
    answers = wire.answers()
    assert {answer.status for answer in answers} <= {200, 400, 401, 403}
    assert may_pass or not any(answer.allowed for answer in answers)


places = st.lists(st.integers(0, 4000), max_size=4)
texts = st.sampled_from(["", "Bearer x.y.z", "Bearer " + "a" * 20_000, "\xff", ",", "10.0.0.5", "\x01", "URI=spiffe"])


@given(st.binary(max_size=300), places)
@example(b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", [])
def test_any_bytes(data: bytes, at: list[int]) -> None:
    """Any bytes in any pieces are closed or wait for more; nothing is raised out of the protocol."""
    check(feed(cut(data, at)), may_pass=False)


@given(
    st.sampled_from(["GET", "POST", "CONNECT", "PRI", "get", ""]) | st.text(max_size=3),
    st.sampled_from(["/accounts/1001", "*", "http://a/b", "//", "/%00", "/pay", ""]) | st.text(max_size=8),
    st.dictionaries(st.sampled_from(HEADERS), texts),
    st.none() | st.binary(max_size=40),
    places,
)
def test_any_question(method: str, target: str, headers: dict[str, str], body: bytes | None, at: list[int]) -> None:
    """The same for what is a question, of anything."""
    shown = [text.encode("latin-1", "replace").decode("latin-1") for text in (method, target)]
    wire = feed(cut(asking(shown[0], shown[1], headers, body), at))
    assert len(wire.answers()) == 1
    check(wire, may_pass=False)


@given(st.integers(0, 4000), st.binary(max_size=4), st.integers(0, 4), places)
def test_a_good_question_damaged(at: int, damage: bytes, removed: int, pieces: list[int]) -> None:
    """Nothing passes unless what the issuer signed is there, whole."""
    data, at = good(), at % len(good())
    hurt = data[:at] + damage + data[at + removed :]
    found = re.search(rb"Bearer ([\w.-]+)", data)
    assert found
    check(feed(cut(hurt, pieces)), may_pass=found[1].rpartition(b".")[0] in hurt)


@given(places)
def test_pieces_make_no_difference(at: list[int]) -> None:
    """A good question is answered with yes however it is cut."""
    assert [answer.status for answer in feed(cut(good(), at)).answers()] == [200]


def test_a_question_without_end_is_closed() -> None:
    """A question says how long it is, and may not be longer than any that there is."""
    start = (3 << 20).to_bytes(4, "little") + b"\x01" + b"\x00" * 100
    assert feed(iter([start])).closed


async def test_questions_while_one_waits_are_answered_when_they_can_be() -> None:
    """The key is asked for once; then all are answered."""
    fresh = Bank()
    headers = {"authorization": f"Bearer {fresh.token()}", "x-forwarded-for": "10.0.0.5"}
    frames = [asking("GET", "/accounts/1001", headers, number=number) for number in range(50)]
    wire = await fed(iter([b"".join(frames)]), fresh.judge)
    assert sorted(answer.number for answer in wire.answers()) == list(range(50))
    assert all(answer.allowed for answer in wire.answers())
