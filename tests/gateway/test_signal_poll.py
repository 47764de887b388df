"""Polling for security events (RFC 8936): one question at a time, durable before acknowledged, errors as it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.identity.http_json import Unreachable
from gateway.signals import Outcome, Poller, SetError, Unavailable
from gateway.signals.asking import Answer, Asking
from tests.gateway.signals_rig import TRANSMITTER, Endpoints, counted, event_token
from tests.gateway.transmitter_rig import TOKEN, LocalTransmitter, body, transmitting


class Polling:
    """A poller whose pauses end at once, and what it received."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.pauses: list[float] = []
        self.outcome: Callable[[str], Outcome | None] = lambda jti: "repeated" if jti in self.received else "accepted"

    async def receive(self, token: str, jti: str) -> Outcome:
        outcome = self.outcome(jti)
        self.received.append(jti)
        if outcome is None:
            raise Unavailable("the disk is full")
        return outcome

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    @asynccontextmanager
    async def of(self, transmitter: LocalTransmitter, session: Any) -> AsyncIterator[None]:
        poller = Poller(
            transmitter.url,
            lambda: f"{transmitter.url}/poll",
            Asking(transmitter.config(), session),
            self.receive,
            self.sleep,
            jitter=lambda _, most: most,
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(poller.run())
            yield
            running.cancel()


async def test_what_is_received_is_acknowledged_in_the_next_question() -> None:
    async with transmitting() as (transmitter, session):
        first, second = transmitter.put(), transmitter.put()
        polling = Polling()
        async with polling.of(transmitter, session):
            await transmitter.polled(3)
    assert polling.received[:2] == [first, second]
    # RFC 8936 section 2.2, and figures 2 to 4: what is not said is left out
    assert transmitter.polls[0] == {"maxEvents": 50, "returnImmediately": False}
    assert transmitter.polls[1] == transmitter.polls[0] | {"ack": [first, second]}
    assert transmitter.polls[2] == transmitter.polls[0]
    assert not transmitter.waiting
    assert transmitter.most_in_flight == 1
    assert transmitter.authorizations == {f"Bearer {TOKEN}"}


async def test_what_is_refused_is_told() -> None:
    async with transmitting() as (transmitter, session):
        good, bad = transmitter.put(), transmitter.put()
        polling = Polling()
        polling.outcome = lambda jti: SetError("invalid_audience", "for others") if jti == bad else "accepted"
        async with polling.of(transmitter, session):
            await transmitter.polled(2)
    assert transmitter.polls[1]["ack"] == [good]
    assert transmitter.polls[1]["setErrs"] == {bad: {"err": "invalid_audience", "description": "for others"}}


async def test_what_is_not_durable_is_not_acknowledged() -> None:
    async with transmitting() as (transmitter, session):
        good, bad = transmitter.put(), transmitter.put()
        polling = Polling()
        polling.outcome = lambda jti: None if jti == bad and polling.received.count(bad) < 2 else "accepted"
        async with polling.of(transmitter, session):
            await transmitter.polled(4)
    acknowledged = [poll.get("ack", []) for poll in transmitter.polls]
    assert acknowledged[:4] == [[], [good], [], [bad]]
    assert polling.received[:4] == [good, bad, bad, bad]
    assert polling.pauses[:2] == [0.5, 1.0]


async def test_a_question_without_an_answer_acknowledges_again() -> None:
    async with transmitting() as (transmitter, session):
        jti = transmitter.put()
        polling = Polling()
        async with polling.of(transmitter, session):
            await transmitter.polled(1)
            transmitter.instead["poll"] = (503, b"")
            await transmitter.polled(len(transmitter.polls) + 3)
            del transmitter.instead["poll"]
            await transmitter.polled(len(transmitter.polls) + 3)
    assert not transmitter.waiting
    assert jti in polling.received
    assert all(poll["ack"] == [jti] for poll in transmitter.polls if "ack" in poll)


@pytest.mark.parametrize(
    "answer",
    [
        (401, b""),
        (500, b"{}"),
        (302, b""),
        (204, b""),
        (200, b""),
        (200, b"[]"),
        (200, b"no json"),
        (200, body({"sets": []})),
        (200, body({"sets": {"j": 7}})),
        (200, body({"sets": {}, "moreAvailable": "yes"})),
        (200, b'{"sets": {}, "sets": {}}'),
        (200, b"[" * 100_000),
        (200, b" " * (4 << 20) + b"{}"),
    ],
)
async def test_failures_are_counted_and_asked_again_later_and_later(answer: tuple[int, bytes]) -> None:
    async with transmitting() as (transmitter, session):
        transmitter.instead["poll"] = answer
        polling = Polling()
        async with polling.of(transmitter, session):
            await transmitter.polled(10)
        assert polling.pauses[:9] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        assert not polling.received
        labels = {"issuer": transmitter.url, "result": "unreachable"}
        assert counted("portcullis_gateway_event_polls_total", **labels) >= 9


async def test_a_question_that_stays_open_too_long_is_asked_again_at_once() -> None:
    class Dawdling(Asking):
        asked = 0

        async def ask(self, *_: Any, **__: Any) -> Answer:
            self.asked += 1
            if self.asked == 3:
                raise asyncio.CancelledError
            raise Unreachable from TimeoutError()

    async with transmitting() as (transmitter, session):
        asking, polling = Dawdling(transmitter.config(), session), Polling()
        with pytest.raises(asyncio.CancelledError):
            await Poller(transmitter.url, lambda: transmitter.url, asking, polling.receive, polling.sleep).run()
        assert not polling.pauses


async def test_a_transmitter_that_sends_the_same_again_and_again_is_not_asked_in_a_loop() -> None:
    async with transmitting() as (transmitter, session):
        jti, token = transmitter.token()
        transmitter.instead["poll"] = (200, body({"sets": {jti: token}}))
        polling = Polling()
        async with polling.of(transmitter, session):
            await transmitter.polled(5)
        assert polling.pauses[:3] == [1.0, 1.0, 1.0]


async def test_more_than_was_asked_for_stays_unacknowledged() -> None:
    async with transmitting() as (transmitter, session):
        tokens = dict(transmitter.token() for _ in range(60))
        transmitter.instead["poll"] = (200, body({"sets": tokens}))
        polling = Polling()
        async with polling.of(transmitter, session):
            await transmitter.polled(2)
        assert len(transmitter.polls[1]["ack"]) == 50


async def test_the_receiver_believes_only_the_transmitter_that_was_asked() -> None:
    endpoints = Endpoints()
    good = event_token(jti="j1")
    assert await endpoints.receiver.polled(good, "https://other.example", "j1") == SetError(
        "invalid_issuer", "not of the transmitter that was asked"
    )
    wrong = await endpoints.receiver.polled(good, TRANSMITTER, "j2")
    assert isinstance(wrong, SetError)
    assert wrong.err == "invalid_request"
    assert not endpoints.delivered
    assert await endpoints.receiver.polled(good, TRANSMITTER, "j1") == "accepted"
    assert await endpoints.receiver.polled(good, TRANSMITTER, "j1") == "repeated"
    assert len(endpoints.delivered) == 1
