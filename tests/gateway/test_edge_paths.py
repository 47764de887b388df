"""Spellings of forbidden paths through the real edge, before real services: none of them serves what policy forbids."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from bench.identities.callers import HOST
from tests.gateway.hostile_front import Hostile, get, hostile_front, status, talk
from tests.gateway.http2 import ask
from tests.gateway.spellings import ELSEWHERE, HOSTS, targets
from tests.gateway.upstreams import NAMES, SECRET, Upstreams, upstreams
from tests.gateway.upstreams_python import Seen
from tests.path_rules import RULES

SPELLINGS = None if os.environ.get("PORTCULLIS_PROVE") == "1" else 150  # for each service, over each protocol
AT_ONCE = 16
# The caller's fault, or what a service says of a path that it does not have; 0 where the connection was closed.
HARMLESS = {0, 200, 301, 400, 403, 404, 414, 426, 431}
Asked = tuple[str, str]  # service, target


def chosen() -> list[Asked]:
    """All spellings, or as many of them as are tried without PORTCULLIS_PROVE."""
    return [(name, target) for name in NAMES for target in _of(name)]


def _of(service: str) -> list[str]:
    found = targets(service)
    assert len(found) > 5_000
    return found if SPELLINGS is None else random.Random(service).sample(found, SPELLINGS)


async def answers(ask: Callable[[Asked], Awaitable[int]], asked: Iterable[Asked]) -> dict[int, list[Asked]]:
    """What was answered with which status; a few at a time."""
    turns, found = asyncio.Semaphore(AT_ONCE), dict[int, list[Asked]]()

    async def one(each: Asked) -> None:
        async with turns:
            found.setdefault(await ask(each), []).append(each)

    async with asyncio.TaskGroup() as tasks:
        for each in asked:
            tasks.create_task(one(each))
    return found


async def check(hostile: Hostile, answered: dict[int, list[Asked]]) -> None:
    """Nothing forbidden was served, whatever was asked came judged, and nothing broke."""
    seen = await hostile.behind.seen()
    assert [one for one in seen if one.forbidden] == []
    assert hostile.unproven(seen) == []
    assert {status: asked[:3] for status, asked in answered.items() if status not in HARMLESS} == {}
    for name in NAMES:
        mine = get(f"/{name}/public/file", f"authorization: {hostile.bearer('alice')}", "x-caller: alice")
        assert (await talk(hostile.edge.port, mine)).endswith(b"\r\n\r\npublic"), name


@pytest.mark.prove
async def test_no_spelling_of_a_forbidden_path_is_served_over_http_1(tmp_path: Path) -> None:
    async with hostile_front(tmp_path) as hostile:
        shown = (f"authorization: {hostile.bearer('alice')}", "x-caller: alice")

        async def asked(one: Asked) -> int:
            answer = await talk(hostile.edge.port, get(one[1], *shown))
            assert SECRET not in answer, one
            return status(answer)

        await check(hostile, await answers(asked, chosen()))


@pytest.mark.prove
async def test_no_spelling_of_a_forbidden_path_is_served_over_http_2(tmp_path: Path) -> None:
    async with hostile_front(tmp_path) as hostile:
        shown = [("authorization", hostile.bearer("alice")), ("x-caller", "alice")]

        async def asked(one: Asked) -> int:
            pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", one[1])]
            return await ask(hostile.edge.port, [*pseudo, *shown])

        await check(hostile, await answers(asked, chosen()))


async def test_no_header_says_what_is_asked_for(tmp_path: Path) -> None:
    async with hostile_front(tmp_path) as hostile:
        bearer = hostile.bearer("alice")
        shown = (f"authorization: {bearer}", "x-caller: alice")

        async def elsewhere(one: Asked) -> int:
            sent = get(f"/{one[0]}/public/file", *shown, one[1])
            return status(await talk(hostile.edge.port, sent))

        async def host(one: Asked) -> int:
            return status(await talk(hostile.edge.port, get(f"/{one[0]}/public/file", *shown, host=one[1])))

        async def authority(one: Asked) -> int:
            pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", one[1])]
            headers = [("authorization", bearer), ("x-caller", "alice")]
            return await ask(hostile.edge.port, [*pseudo, (":path", f"/{one[0]}/public/file"), *headers])

        for kind, values in ((elsewhere, ELSEWHERE), (host, HOSTS), (authority, HOSTS)):
            named = [(name, value.replace("{s}", name)) for name in NAMES for value in values]
            await check(hostile, await answers(kind, named))


@pytest.mark.prove
async def test_the_services_alone_do_serve_some_of_them(tmp_path: Path) -> None:
    """What shows that these spellings are worth trying: each service reads some of them as what is forbidden."""
    async with upstreams(tmp_path) as behind:

        async def asked(one: Asked) -> int:
            return status(await talk(behind.ports[one[0]], get(one[1])))

        await answers(asked, [one for one in chosen() if one[0] != "go2"])
        seen = await behind.seen()
        served = Counter(one.service for one in seen if one.forbidden)
        assert set(served) == set(NAMES) - {"go2"}
        for one in seen:
            _as_the_rules_say(one, behind)


def _as_the_rules_say(one: Seen, behind: Upstreams) -> None:
    """Our words for how a server reads a path (tests.path_rules) are what it does."""
    if not one.file or one.service not in RULES or not one.target.startswith("/") or "\ufffd" in one.target:
        return
    found = RULES[one.service](one.target.encode("latin-1" if one.service == "python" else "utf-8"))
    assert found is not None, one
    file = one.file.removeprefix(f"{behind.folder}/www")
    assert _folder(file) == _folder(os.fsdecode(found)), one


def _folder(path: str) -> str:
    """Of the page that stands for it."""
    return os.path.normpath(f"/{path}").removesuffix("index.html").rstrip("/")
