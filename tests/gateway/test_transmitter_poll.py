"""Poll-based delivery (RFC 8936) by the Shared Signals transmitter."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.signals.transmitter.poll import MOST_SETS
from tests.gateway.telling_rig import DEADLINE, REVOKED, UPDATED, emails, office, revoked, settings, until


def ended(end: str) -> float:
    """How many events have ended so."""
    return REGISTRY.get_sample_value("portcullis_gateway_signals_ended_total", {"end": end}) or 0.0


def polls() -> float | None:
    """How many wait."""
    return REGISTRY.get_sample_value("portcullis_gateway_signals_polls_waiting")


async def test_the_requests_of_the_rfc(tmp_path: Path) -> None:
    """Sections 2.4.1 to 2.4.4: poll only, acknowledge only, both, and with errors."""
    async with office(tmp_path) as desk:
        name = await desk.create()
        for number in range(4):
            await desk.transmitter.publish(revoked(str(number)))
        first = await desk.poll(name, maxEvents=2)
        assert emails(first.values()) == ["0", "1"]
        assert await desk.poll(name, maxEvents=2) == first  # nothing was acknowledged
        one, two = first
        assert await desk.ask("POST", f"poll/{name}", json={"maxEvents": 0, "ack": [one]}) == (
            200,
            {"sets": {}, "moreAvailable": True},
        )
        second = await desk.poll(name, ack=[two], maxEvents=1)
        assert emails(second.values()) == ["2"]
        before = ended("refused_invalid_issuer")
        (wrong,) = second
        said = {"err": "invalid_issuer", "description": "Issuer is unknown"}
        assert emails((await desk.poll(name, setErrs={wrong: said})).values()) == ["3"]
        assert ended("refused_invalid_issuer") - before == 1
        await desk.poll(name, setErrs={wrong: said})
        assert ended("refused_invalid_issuer") - before == 1  # it did not wait any more


async def test_more_than_one_answer_holds_comes_in_order(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        name, heard = await desk.create(), list[str]()
        await asyncio.gather(*(desk.transmitter.publish(revoked(str(number))) for number in range(3 * MOST_SETS)))
        done: list[str] = []
        for _ in range(4):
            sets = await desk.poll(name, ack=done, maxEvents=1000)
            assert len(sets) <= MOST_SETS
            heard += emails(sets.values())
            done = [*sets]
    assert heard == [str(number) for number in range(3 * MOST_SETS)]


async def test_a_poll_waits_for_what_comes(tmp_path: Path) -> None:
    async with office(tmp_path, long_poll=DEADLINE) as desk:
        name = await desk.create()
        asked = asyncio.create_task(desk.poll(name, returnImmediately=False))
        await until(lambda: polls() == 1)
        assert not asked.done()
        await desk.transmitter.publish(revoked("alice"))
        assert emails((await asked).values()) == ["alice"]


async def test_a_poll_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with office(tmp_path, long_poll=0.05) as desk:
        name = await desk.create()
        assert await desk.ask("POST", f"poll/{name}", json={}) == (200, {"sets": {}})


async def test_a_poll_ends_with_its_stream(tmp_path: Path) -> None:
    async with office(tmp_path, long_poll=DEADLINE) as desk:
        name = await desk.create()
        asked = asyncio.create_task(desk.ask("POST", f"poll/{name}", json={}))
        await until(lambda: polls() == 1)
        await desk.ask("DELETE", f"streams?stream_id={name}")
        assert (await asked)[0] == 404


async def test_no_more_than_two_polls_of_a_stream_wait(tmp_path: Path) -> None:
    async with office(tmp_path, long_poll=DEADLINE) as desk:
        name = await desk.create()
        patient = [asyncio.create_task(desk.poll(name, returnImmediately=False)) for _ in range(2)]
        await until(lambda: polls() == 2)
        assert await desk.poll(name, returnImmediately=False) == {}
        assert not any(task.done() for task in patient)
        await desk.transmitter.publish(revoked())
        assert [len(sets) for sets in await asyncio.gather(*patient)] == [1, 1]


async def test_a_stream_that_is_full_is_paused_and_says_so(tmp_path: Path) -> None:
    """What waits has a bound. The receiver hears of it, goes on when it wants to, and gets what was held."""
    dropped = ended("full")
    async with office(tmp_path, settings(max_waiting=3)) as desk:
        name = await desk.create()
        waits = [await desk.transmitter.publish(revoked(str(number))) for number in range(6)]
        assert waits == [1, 1, 1, 0, 0, 0]
        assert ended("full") - dropped == 3
        status = await desk.status(name)
        assert status["status"] == "paused"
        assert status["reason"]
        ((jti, told),) = (await desk.poll(name)).items()
        assert told["events"] == {UPDATED: {"status": "paused", "reason": status["reason"]}}
        assert told["sub_id"] == {"format": "opaque", "id": name}
        assert await desk.poll(name, ack=[jti]) == {}
        assert (await desk.ask("POST", "verify", json={"stream_id": name}))[0] == 429
        await desk.ask("POST", "status", json={"stream_id": name, "status": "enabled"})
        sets = await desk.poll(name)
        assert emails(sets.values()) == ["0", "1", "2"]
        assert await desk.poll(name, ack=[*sets]) == {}
        assert await desk.transmitter.publish(revoked("again")) == 1
        assert [[*claims["events"]] for claims in (await desk.poll(name)).values()] == [[REVOKED]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"maxEvents": -1},
        {"maxEvents": "1"},
        {"maxEvents": True},
        {"maxEvents": 1.5},
        {"returnImmediately": "yes"},
        {"ack": "jti"},
        {"ack": [1]},
        {"ack": None},
        {"ack": ["x"] * 5001},
        {"setErrs": []},
        {"setErrs": {"jti": "wrong"}},
        {"setErrs": {"jti": {"description": "no err"}}},
        {"setErrs": {"jti": {"err": 1}}},
    ],
)
async def test_a_request_that_cannot_be_read_settles_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with office(tmp_path) as desk:
        name = await desk.create()
        await desk.transmitter.publish(revoked())
        (jti,) = await desk.poll(name)
        body = {"returnImmediately": True, "ack": [jti]} | wrong
        assert (await desk.ask("POST", f"poll/{name}", json=body))[0] == 400
        assert [*await desk.poll(name)] == [jti]


async def test_a_stream_that_pushes_is_not_polled(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        push = {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://receiver.example.com/events"}
        name = await desk.create(delivery=push)
        assert (await desk.ask("POST", f"poll/{name}", json={}))[0] == 404
