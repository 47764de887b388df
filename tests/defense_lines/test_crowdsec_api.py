"""CrowdSec's API as other bouncers use it: questions, filters, chunks, keys, and what is refused."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY

from defense_lines import Ledger
from defense_lines.ledger import Lift
from defense_lines.lines.crowdsec import Bouncer
from defense_lines.lines.crowdsec.stream_line import StreamLine
from deploy.demo.ports import free_port
from policy import TargetKind
from tests.defense_lines.bouncer_rig import KEY, NAME, Site, eventually, site
from tests.defense_lines.line_rig import block, permit

WEB_KEY = "fedcba9876543210fedcba9876543210"
BOUNCERS = (Bouncer(NAME, KEY, ranges=True, hold=0.3), Bouncer("web", WEB_KEY, hold=0.3))
SUPERSEDED = "portcullis_defense_lines_bouncer_superseded_total"
CUT = "portcullis_gateway_bouncers_cut_total"
STREAM = "/v1/decisions/stream"


class Client:
    """A bouncer with one connection."""

    def __init__(self, session: aiohttp.ClientSession, ours: Site, port: int) -> None:
        self.session, self.ours, self.ledger, self.port = session, ours, ours.ledger, port

    async def get(self, path: str, key: str = KEY, **parameters: str) -> Any:
        async with self.session.get(path, params=parameters, headers={"X-Api-Key": key}) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "application/json"
            return await answer.json()

    async def status(self, method: str, path: str, key: str = KEY, **options: Any) -> int:
        async with self.session.request(method, path, headers={"X-Api-Key": key}, **options) as answer:
            return answer.status

    async def order(
        self, value: str, kind: TargetKind = "address", ttl: float = 600, lines: tuple[str, ...] = ()
    ) -> tuple[str, int]:
        wanted = block(kind, value, ttl, lines)
        return wanted.id, (await self.ledger.append(permit(wanted))).seq

    async def lift(self, block_id: str) -> int:
        return (await self.ledger.append(Lift(block=block_id, by="analyst:jo", reason="test"))).seq


@asynccontextmanager
async def client(folder: Path, away: float = 60) -> AsyncIterator[Client]:
    port, one = free_port(), aiohttp.TCPConnector(limit=1)
    async with (
        asyncio.timeout(30),
        await Ledger.open(folder / "ledger") as ledger,
        site(ledger, BOUNCERS, away, port) as ours,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=one) as session,
    ):
        yield Client(session, ours, port)


async def lines_are(asking: Client, *names: str) -> None:
    async def so() -> bool:
        return asking.ours.follower.lines.keys() == set(names)

    await eventually(so)


async def polling(asking: Client) -> bool:
    line = asking.ours.follower.lines[NAME]
    assert isinstance(line, StreamLine)
    return line.polling


async def started(asking: Client) -> None:
    """A bouncer where nothing stands: what it is told first is proved."""
    for parameters in ({"startup": "true"}, {}):
        assert await asking.get(STREAM, **parameters) == {"new": None, "deleted": None}


def values(decisions: list[dict[str, Any]] | None) -> list[str]:
    return [decision["value"] for decision in decisions or ()]


async def test_a_decision_is_as_crowdsec_says_it(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        await asking.order("198.51.100.7", ttl=1902.39)
        (one,) = await asking.get("/v1/decisions", ip="198.51.100.7")
        told = await asking.get(STREAM, startup="true")
        assert told == {"new": [told["new"][0]], "deleted": None}
        assert {key: value for key, value in one.items() if key != "duration"} == {
            "id": told["new"][0]["id"],
            "origin": "portcullis",
            "type": "ban",
            "scope": "Ip",
            "value": "198.51.100.7",
            "scenario": "enumerates accounts",
        }
        assert one["duration"].startswith(("31m42.", "31m41."))
        assert 0 < one["id"] < 2**53


async def test_questions_are_answered_by_all_that_covers_them(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        await asking.order("198.51.100.7")
        await asking.order("198.51.0.0/16", "range")
        await asking.order("2001:db8::/32", "range")
        ask = "/v1/decisions"
        assert sorted(values(await asking.get(ask, ip="198.51.100.7"))) == ["198.51.0.0/16", "198.51.100.7"]
        assert values(await asking.get(ask, ip="198.51.1.1")) == ["198.51.0.0/16"]
        assert values(await asking.get(ask, ip="::ffff:198.51.1.1")) == ["198.51.0.0/16"]
        assert values(await asking.get(ask, range="198.51.7.0/24")) == ["198.51.0.0/16"]
        assert values(await asking.get(ask, ip="2001:db8::5")) == ["2001:db8::/32"]
        assert values(await asking.get(ask, scope="Range", value="198.51.0.0/16")) == ["198.51.0.0/16"]
        assert values(await asking.get(ask, ip="198.51.100.7", scopes="range")) == ["198.51.0.0/16"]
        assert await asking.get(ask, scope="Range", value="198.51.0.0/17") is None
        assert await asking.get(ask, ip="203.0.113.1") is None
        assert await asking.get(ask, ip="198.51.100.7", type="captcha") is None
        assert await asking.get(ask, scope="Country", value="DE") is None
        assert await asking.get(ask, ip="198.51.100.7", origins="cscli,CAPI") is None
        assert await asking.get(ask, ip="198.51.100.7", scenarios_not_containing="ACCOUNTS") is None


async def test_who_asks_is_answered_by_what_is_durable_and_is_a_line(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        known, seq = await asking.order("198.51.100.7")
        assert values(await asking.get("/v1/decisions", WEB_KEY, ip="198.51.100.7")) == ["198.51.100.7"]
        await asking.ours.follower.told(seq)
        seq = await asking.lift(known)
        assert await asking.get("/v1/decisions", WEB_KEY, ip="198.51.100.7") is None
        await asking.ours.follower.told(seq)
        assert asking.ours.follower.lines.keys() == {"web"}


async def test_a_block_for_other_lines_is_told_to_them_alone(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        await asking.order("198.51.100.7", lines=("web", "nftables"))
        await asking.order("198.51.100.8")
        assert values((await asking.get(STREAM, startup="true"))["new"]) == ["198.51.100.8"]
        assert await asking.get("/v1/decisions", ip="198.51.100.7") is None
        assert values(await asking.get("/v1/decisions", WEB_KEY, ip="198.51.100.7")) == ["198.51.100.7"]


async def test_a_poll_is_held_until_there_is_something_to_say(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        nothing = {"new": None, "deleted": None}
        await started(asking)
        poll = asyncio.ensure_future(asking.get(STREAM))
        await asyncio.sleep(0.05)
        assert not poll.done()
        known, seq = await asking.order("198.51.100.7")
        assert values((await poll)["new"]) == ["198.51.100.7"]
        assert await asking.get(STREAM) == nothing  # at once: the poll after it proves that the block is enforced
        assert asking.ours.follower.cursor < seq
        held = asyncio.ensure_future(asking.get(STREAM))
        await asking.ours.follower.told(seq)
        assert not held.done()
        await asking.lift(known)
        assert values((await held)["deleted"]) == ["198.51.100.7"]


async def test_what_ends_is_told_to_bouncers_that_keep_no_time(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        await asking.order("198.51.100.7", ttl=1)
        assert values((await asking.get(STREAM, startup="true"))["new"]) == ["198.51.100.7"]
        while not (deleted := (await asking.get(STREAM))["deleted"]):
            pass
        assert values(deleted) == ["198.51.100.7"]
        assert await asking.get("/v1/decisions", ip="198.51.100.7") is None


async def test_what_a_bouncer_filters_out_is_no_receipt_that_it_enforces(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        poll = {"scenarios_containing": "ssh,http"}
        await asking.get(STREAM, startup="true", **poll)
        known, seq = await asking.order("198.51.100.7")
        assert await asking.get(STREAM, **poll) == {"new": None, "deleted": None}
        await asking.ours.follower.told(seq)
        (note,) = asking.ours.follower.receipts[-1].notes
        assert (note.block, note.outcome) == (known, "refused")


async def test_a_bouncer_that_never_uses_a_connection_twice_is_told_once(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        once = {"X-Api-Key": KEY, "Connection": "close"}
        _, seq = await asking.order("198.51.100.7")
        got = []
        for _ in range(4):
            async with asking.session.get(STREAM, headers=once) as answer:
                got.append(values((await answer.json())["new"]))
        assert got == [["198.51.100.7"], [], [], []]
        await asking.ours.follower.told(seq)


async def test_who_has_not_asked_for_a_while_is_away_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with client(tmp_path, away=0.3) as asking:
        _, seq = await asking.order("198.51.100.7")
        for _ in range(3):
            await asking.get(STREAM)
        await asking.ours.follower.told(seq)
        await lines_are(asking)
        await asking.order("198.51.100.8")
        assert values((await asking.get(STREAM))["new"]) == ["198.51.100.8"]
        assert values((await asking.get(STREAM, startup="true"))["new"]) == ["198.51.100.7", "198.51.100.8"]


async def test_a_second_poll_ends_the_first(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        await started(asking)
        await asking.get(STREAM)
        async with raw(asking) as (first, _):
            await eventually(lambda: polling(asking))
            async with raw(asking) as (second, _):
                assert await first.read() == b""  # cut, and not answered
                assert (await second.readline()).startswith(b"HTTP/1.1 200")
        assert REGISTRY.get_sample_value(SUPERSEDED, {"line": NAME})


@pytest.mark.parametrize("path", ["/v1/decisions?ip=192.0.2.1", STREAM, "/v1/usage-metrics", "/", "/v1/decisions/"])
async def test_a_wrong_key_is_refused_in_crowdsecs_words(tmp_path: Path, path: str) -> None:
    async with client(tmp_path) as asking:
        method = "POST" if path.endswith("metrics") else "GET"
        for headers in ({}, {"X-Api-Key": ""}, {"X-Api-Key": KEY[:-1]}, {"X-Api-Key": "\xe9" * 32}):
            async with asking.session.request(method, path, headers=headers) as answer:
                assert (answer.status, await answer.json()) == (403, {"message": "access forbidden"})
                assert answer.headers["connection"] == "close"
        assert not asking.ours.follower.lines


async def test_the_small_questions(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        assert await asking.status("HEAD", "/v1/decisions") == 200
        assert await asking.status("HEAD", STREAM) == 200
        assert not asking.ours.follower.lines  # to look at the key is not to poll
        assert await asking.status("POST", "/v1/usage-metrics", json={"remediation_components": []}) == 201
        assert await asking.status("POST", "/v1/usage-metrics", data=b"x" * 300_000) == 413
        assert await asking.status("GET", "/v1/decisions") == 400
        assert await asking.status("GET", "/v1/decisions?ip=nonsense") == 400
        assert await asking.status("GET", "/v1/decisions?range=198.51.0.0/16&contains=false") == 400
        assert await asking.status("DELETE", "/v1/decisions") == 405
        assert await asking.status("GET", "/v1/alerts") == 404


@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [("GET", "/", "", 403), ("PUT", STREAM, "", 403), ("GET", "/v1/decisions/", KEY, 404), ("PUT", STREAM, KEY, 405)],
)
async def test_who_asks_for_nothing_that_is_there_keeps_no_place(
    tmp_path: Path, method: str, path: str, key: str, status: int
) -> None:
    async with client(tmp_path) as asking:
        reader, writer = await asyncio.open_connection("127.0.0.1", asking.port)
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n".encode())
        answer = await reader.read()  # to the end, which comes at once
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"connection: close" in answer
        assert (b"allow: " in answer) == (status == 405)
        writer.close()


async def test_who_sends_too_much_is_cut(tmp_path: Path) -> None:
    async with client(tmp_path) as asking, raw(asking, "x: " + "x" * 2_000_000) as (reader, writer):
        with suppress(ConnectionError):
            await writer.drain()
        with suppress(ConnectionError):
            assert await reader.read() == b""
        assert REGISTRY.get_sample_value(CUT, {"why": "too_much"})


async def test_who_stops_in_the_middle_of_a_request_is_cut(tmp_path: Path) -> None:
    async with client(tmp_path) as asking, raw(asking, "x: x") as (reader, _):
        assert await reader.read() == b""
        assert REGISTRY.get_sample_value(CUT, {"why": "too_slow"})


async def test_a_connection_that_is_reset_while_a_poll_is_held_loses_nothing(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        await asking.get(STREAM, startup="true")
        async with raw(asking) as (_, writer):
            await asyncio.sleep(0.05)  # it may be held by now, or not
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asking.order("198.51.100.7")
        assert values((await asking.get(STREAM))["new"]) == ["198.51.100.7"]


@asynccontextmanager
async def raw(asking: Client, end: str = "\r\n") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has sent a poll, or with an `end` of its own something else."""
    reader, writer = await asyncio.open_connection("127.0.0.1", asking.port)
    writer.write(f"GET {STREAM} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{end}".encode())
    yield reader, writer
    writer.close()
