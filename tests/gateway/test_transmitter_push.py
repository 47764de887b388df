"""Push-based delivery (RFC 8935) by the Shared Signals transmitter, to a receiver that does not always want to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.signals.transmitter.push import Parcel, Pushing
from tests.gateway.telling_rig import QUICK, UPDATED, LocalReceiver, emails, office, revoked, settings, until
from tests.gateway.test_transmitter_poll import ended


@pytest.fixture
async def receiver() -> AsyncIterator[LocalReceiver]:
    made = LocalReceiver()
    async with made.serving():
        yield made


def known(receiver: LocalReceiver, **changes: Any) -> Any:
    return settings(push_prefixes=(f"{receiver.url}/events",), **changes)


async def test_a_token_is_pushed(tmp_path: Path, receiver: LocalReceiver) -> None:
    """Section 2.1: the request, with the authorization that the receiver has asked for."""
    async with office(tmp_path, known(receiver)) as desk:
        await desk.create(delivery=receiver.delivery(authorization_header="Bearer secret"))
        before = ended("delivered")
        await desk.transmitter.publish(revoked("alice"))
        await until(lambda: ended("delivered") - before == 1)
    assert emails(receiver.taken) == ["alice"]
    (headers,) = receiver.headers
    assert headers["content-type"] == "application/secevent+jwt"
    assert headers["accept"] == "application/json"
    assert headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    "fault",
    [
        (500, None),
        (503, None),
        (401, None),
        (404, {"err": "invalid_request"}),
        (200, None),
        (307, None),
        (400, None),
        (400, {"error": "no err"}),
        (400, {"err": ["invalid_key"]}),
        (400, {"err": "invalid_key", "description": "x" * 10_000}),
        None,
    ],
)
async def test_what_was_not_taken_is_pushed_again_in_order(
    tmp_path: Path, receiver: LocalReceiver, fault: tuple[int, Any] | None
) -> None:
    """Whatever a receiver, or what stands before it, answers that is neither 202 nor an error of the RFC's; None: it
    hangs. Nobody follows where it points to.
    """
    receiver.answers = [fault, fault, fault]
    async with office(tmp_path, known(receiver)) as desk:
        await desk.create(delivery=receiver.delivery())
        for number in range(3):
            await desk.transmitter.publish(revoked(str(number)))
        await until(lambda: len(receiver.taken) == 3)
    assert emails(receiver.taken) == ["0", "1", "2"]
    assert emails(receiver.heard[:4]) == ["0"] * 4
    assert len({claims["jti"] for claims in receiver.heard[:4]}) == 1
    assert receiver.elsewhere == 0


@pytest.mark.parametrize(
    ("err", "end"), [("invalid_key", "refused_invalid_key"), ("jwtCrypto\r\n" * 99, "refused_other")]
)
async def test_what_is_refused_is_counted_and_dropped(
    tmp_path: Path, receiver: LocalReceiver, err: str, end: str
) -> None:
    """Section 2.3: the receiver says what is wrong with a token; the same token again would be wrong again."""
    receiver.answers = [(400, {"err": err, "description": "Key ID 12345 has been revoked."})]
    before = ended(end)
    async with office(tmp_path, known(receiver)) as desk:
        await desk.create(delivery=receiver.delivery())
        await desk.transmitter.publish(revoked("wrong"))
        await desk.transmitter.publish(revoked("right"))
        await until(lambda: len(receiver.taken) == 1)
    assert emails(receiver.heard) == ["wrong", "right"]
    assert ended(end) - before == 1


async def test_a_receiver_that_was_away_gets_everything(tmp_path: Path) -> None:
    """Away before, and across a restart of ours."""
    receiver = LocalReceiver()
    async with receiver.serving():
        allowed = known(receiver)
        port = int(receiver.url.rpartition(":")[2])
    async with office(tmp_path, allowed) as desk:
        await desk.create(delivery=receiver.delivery())
        await desk.transmitter.publish(revoked("0"))
    async with office(tmp_path, allowed) as desk:
        await desk.transmitter.publish(revoked("1"))
        async with receiver.serving(port):
            await until(lambda: len(receiver.taken) == 2)
    assert emails(receiver.taken) == ["0", "1"]


async def test_one_receiver_that_hangs_holds_up_no_other_stream(tmp_path: Path, receiver: LocalReceiver) -> None:
    receiver.answers = [None] * 1000
    other = LocalReceiver()
    async with other.serving():
        both = settings(push_prefixes=(f"{receiver.url}/events", f"{other.url}/events"))
        async with office(tmp_path, both) as desk:
            await desk.create(delivery=receiver.delivery())
            await desk.create(delivery=other.delivery())
            for number in range(10):
                await desk.transmitter.publish(revoked(str(number)))
            await until(lambda: len(other.taken) == 10)
    assert receiver.taken == []


async def test_a_paused_stream_pushes_when_it_goes_on(tmp_path: Path, receiver: LocalReceiver) -> None:
    async with office(tmp_path, known(receiver)) as desk:
        name = await desk.create(delivery=receiver.delivery())
        other = await desk.create(delivery=receiver.delivery())
        await desk.ask("POST", "status", json={"stream_id": name, "status": "paused"})
        await desk.transmitter.publish(revoked("alice"))
        await until(lambda: len(receiver.taken) == 1)  # the other stream's
        await desk.ask("POST", "status", json={"stream_id": name, "status": "enabled"})
        await until(lambda: len(receiver.taken) == 2)
        await desk.ask("DELETE", f"streams?stream_id={other}")
    assert emails(receiver.taken) == ["alice", "alice"]
    assert len({claims["jti"] for claims in receiver.taken}) == 2


async def test_a_stream_that_polled_may_push_what_waits(tmp_path: Path, receiver: LocalReceiver) -> None:
    async with office(tmp_path, known(receiver)) as desk:
        name = await desk.create()
        await desk.transmitter.publish(revoked("alice"))
        await desk.ask("PATCH", "streams", json={"stream_id": name, "delivery": receiver.delivery()})
        await until(lambda: len(receiver.taken) == 1)


async def test_an_endpoint_that_is_not_allowed_any_more_gets_nothing(tmp_path: Path, receiver: LocalReceiver) -> None:
    """The configuration is the bank's last word, whatever is on disk."""
    async with office(tmp_path, known(receiver)) as desk:
        name = await desk.create(delivery=receiver.delivery())
    async with office(tmp_path, settings(push_prefixes=("https://elsewhere.example/",))) as desk:
        await desk.transmitter.publish(revoked("alice"))
        assert await desk.transmitter.next_parcel(name) is None
    assert receiver.heard == []
    async with office(tmp_path, known(receiver)) as desk:
        await until(lambda: len(receiver.taken) == 1)


async def test_a_full_stream_says_so_and_goes_on_at_its_receivers_word(tmp_path: Path, receiver: LocalReceiver) -> None:
    receiver.answers = [(500, None)] * 1000
    async with office(tmp_path, known(receiver, max_waiting=2)) as desk:
        name = await desk.create(delivery=receiver.delivery())
        for number in range(4):
            await desk.transmitter.publish(revoked(str(number)))
        await until(lambda: bool(receiver.heard) and UPDATED in receiver.heard[-1]["events"])
        receiver.answers.clear()
        await until(lambda: len(receiver.taken) == 1)
        (told,) = receiver.taken
        (event,) = told["events"].values()
        assert (event["status"], told["sub_id"]["id"]) == ("paused", name)
        await desk.ask("POST", "status", json={"stream_id": name, "status": "enabled"})
        await until(lambda: len(receiver.taken) == 3)
    assert emails(receiver.taken[1:]) == ["0", "1"]


class EmptyDesk:
    """A desk with nothing on it; a stream may be woken while it looks."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.meanwhile: Callable[[], None] | None = None

    async def next_parcel(self, stream: str) -> Parcel | None:
        self.asked.append(stream)
        if self.meanwhile:
            self.meanwhile()
            self.meanwhile = None
            for _ in range(5):  # turns of the loop, as a real look takes
                await asyncio.sleep(0)
        return None

    async def settle(self, parcel: Parcel, end: str) -> None:
        raise AssertionError("nothing was pushed")


async def test_a_stream_is_looked_at_as_often_as_it_is_woken() -> None:
    """Once, or it would never rest; and once more for what came while it was looked at, or that would be forgotten."""
    desk = EmptyDesk()
    async with aiohttp.ClientSession() as session:
        pushing = Pushing(desk, session, QUICK)
        running = asyncio.create_task(pushing.run())
        desk.meanwhile = lambda: pushing.wake("a")
        pushing.wake("a")
        await until(lambda: len(desk.asked) >= 2)
        pushing.wake("b")
        await until(lambda: "b" in desk.asked)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert desk.asked == ["a", "a", "b"]
