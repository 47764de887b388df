"""Smuggled requests at the real edge, before real services: none is ever seen as a request of its own."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from bench.identities.callers import HOST
from tests.gateway.hostile_front import QUIET, Hostile, get, hostile_front, talk
from tests.gateway.http2 import ask
from tests.gateway.smuggled import over_http_1
from tests.gateway.smuggled_http2 import Http2, over_http_2
from tests.gateway.upstreams import NAMES, upstreams

PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
AT_ONCE = 24
VICTIMS = 2  # after each turn of attacks, one after another
One = TypeVar("One")


def chosen(attacks: list[One], service: str, some: int) -> list[One]:
    """All of them, or so many without PORTCULLIS_PROVE."""
    assert len(attacks) > 500
    return attacks if PROVE else random.Random(service).sample(attacks, some)


async def attacked(
    hostile: Hostile, service: str, attacks: Sequence[One], send: Callable[[One], Awaitable[object]]
) -> int:
    """Some at once, then somebody else, who must get an answer of her own; how often that was."""
    bearer, asked = hostile.bearer("bob"), itertools.count()
    for start in range(0, len(attacks), AT_ONCE):
        await asyncio.gather(*map(send, attacks[start : start + AT_ONCE]))
        for _ in range(VICTIMS):
            path = f"/{service}/echo/of-bob-{next(asked)}"
            answer = await talk(hostile.edge.port, get(path, f"authorization: {bearer}", "x-caller: bob"))
            assert answer.endswith(f"\r\n\r\n{path}".encode()), attacks[start : start + AT_ONCE]
    return next(asked)


async def check(hostile: Hostile, victims: int) -> None:
    """What the services saw is what was judged, each by its own caller's token."""
    seen = await hostile.behind.seen()
    assert [one for one in seen if "smuggled" in one.target] == []
    assert hostile.unproven(seen) == []
    assert [one for one in seen if one.trailers] == []
    assert len([one for one in seen if one.caller == "bob"]) == victims
    assert {one.service for one in seen if one.caller == "alice"} == set(NAMES)  # attacks that were harmless


@pytest.mark.prove
async def test_nothing_is_smuggled_over_http_1(tmp_path: Path) -> None:
    async with hostile_front(tmp_path) as hostile:

        async def send(raw: bytes) -> None:
            await talk(hostile.edge.port, raw, quiet=QUIET)

        attacks = {name: chosen(over_http_1(name, hostile.bearer("alice")), name, 60) for name in NAMES}
        await check(hostile, sum([await attacked(hostile, name, raw, send) for name, raw in attacks.items()]))


@pytest.mark.prove
async def test_nothing_is_smuggled_over_http_2(tmp_path: Path) -> None:
    async with hostile_front(tmp_path) as hostile:

        async def send(one: Http2) -> None:
            await ask(hostile.edge.port, one.headers, *([one.body] if one.body else []), trailers=one.trailers)

        attacks = {name: chosen(over_http_2(name, hostile.bearer("alice")), name, 150) for name in NAMES}
        await check(hostile, sum([await attacked(hostile, name, each, send) for name, each in attacks.items()]))


async def test_trailers_reach_no_service(tmp_path: Path) -> None:
    """One that speaks HTTP/2 would read them, where they were announced."""
    forged = [("x-portcullis-subject", "person:root"), ("x-forwarded-for", "10.0.0.1"), ("x-user", "root"), ("a", "b")]
    announced = ("trailer", ", ".join(name for name, _ in forged))
    async with hostile_front(tmp_path) as hostile:
        for path in ("/go2/echo/judged", "/go2/live/echo/held"):
            pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", path)]
            headers = [*pseudo, ("authorization", hostile.bearer("alice")), ("x-caller", "alice"), announced]
            assert await ask(hostile.edge.port, headers, b"content", trailers=forged) == 200
        assert [(one.caller, one.trailers) for one in await hostile.behind.seen()] == [("alice", ())] * 2


async def test_a_service_alone_does_see_a_second_request(tmp_path: Path) -> None:
    """What shows that a smuggled request would be found."""
    async with upstreams(tmp_path) as behind:
        for name in ("nginx", "go", "aiohttp"):
            some = random.Random(name).sample(over_http_1(name, "Bearer x"), 30)
            await asyncio.gather(*(talk(behind.ports[name], raw, quiet=QUIET) for raw in some))
        assert {one.service for one in await behind.seen() if "smuggled" in one.target} == {"nginx", "go", "aiohttp"}
