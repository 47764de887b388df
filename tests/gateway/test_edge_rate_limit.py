"""Rate limits at a real edge of two workers: of each caller, over all connections, and of nobody else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from aiohttp import ClientSession, TCPConnector

from gateway.config import Config, RateLimit
from tests.gateway.cached_rig import World
from tests.gateway.edge_rig import ALICE, DEADLINE, Rig, deny, rig, until
from tests.gateway.questioner import Asked, Reply

SLOW = RateLimit(requests_per_second=0.5, burst=20)


def whoever(request: Asked, body: bytes) -> Reply:
    """The caller says who it is: `actor for subject`."""
    actor, _, subject = request.headers["authorization"].partition(" for ")
    return 200, {**ALICE, "x-portcullis-actor": actor, "x-portcullis-subject": subject or actor}, b""


@asynccontextmanager
async def limited(limit: RateLimit | None = SLOW, **routes: RateLimit) -> AsyncIterator[Rig]:
    """An edge of two workers. `routes`: the limits of routes of their own, by the service's first route's prefix."""

    def shape(config: Config) -> Config:
        changed = [
            route.model_copy(update={"rate_limit": routes.get(route.prefix.strip("/"))}) for route in config.routes
        ]
        return config.model_copy(update={"routes": tuple(changed)})

    async with rig(shape=shape, concurrency=2, rate_limit=limit) as edge:
        edge.gateway.answer = whoever
        yield edge


async def ask(edge: Rig, who: str, path: str = "/accounts", session: ClientSession | None = None) -> int:
    async with (session or edge.http).get(edge.url(path), headers={"authorization": who}) as answer:
        await answer.read()
        return answer.status


async def many(edge: Rig, who: str, count: int, path: str = "/accounts") -> Counter[int]:
    """So many at once, each on a connection of its own: both workers have some."""
    async with ClientSession(connector=TCPConnector(limit=0, force_close=True)) as session:
        return Counter(await asyncio.gather(*(ask(edge, who, path, session) for _ in range(count))))


async def test_a_caller_has_its_burst_over_all_workers_and_connections_and_no_more() -> None:
    async with limited() as edge:
        began = time.monotonic()
        found = await many(edge, "agent:busy", 80)
        most = SLOW.burst + 1 + (time.monotonic() - began) * SLOW.requests_per_second
        assert set(found) == {200, 429}
        # What is over the limit reaches no service. A client whose connection breaks asks again by itself.
        assert SLOW.burst <= len(edge.seen) <= most
        assert found[200] <= len(edge.seen)

        async def counted() -> bool:  # at least: as above
            return (await edge.admin.stats("portcullis.")).get("portcullis.limited", 0) >= found[429]

        await until(counted, "Envoy counts them")
        assert (await many(edge, "agent:other", SLOW.burst)) == {200: SLOW.burst}, "who asks little is not touched"


async def test_who_is_refused_learns_when_to_come_again() -> None:
    async with limited(RateLimit(requests_per_second=0.5, burst=1)) as edge:
        began = time.monotonic()
        assert await ask(edge, "agent:eager") == 200
        async with edge.http.get(edge.url("/accounts"), headers={"authorization": "agent:eager"}) as answer:
            assert answer.status == 429
            assert answer.headers["retry-after"] in ("1", "2")
            assert answer.headers["x-portcullis-decision"] == "d-1"
            assert await answer.json() == {"error": "too_many_requests", "reasons": ["rate_limited"]}

        async def passes() -> bool:
            return await ask(edge, "agent:eager") == 200

        await until(passes, "it may again")
        assert time.monotonic() - began >= 2.0


async def test_detectors_see_who_was_refused() -> None:
    async with limited(RateLimit(requests_per_second=0.01, burst=1)) as edge:
        assert await ask(edge, "agent:loud for person:alice", "/accounts/first") == 200
        assert await ask(edge, "agent:loud for person:alice", "/accounts/second") == 429
        await until(lambda: edge.gateway.log_of("/accounts/second") is not None, "it is logged")
        first, second = edge.gateway.log_of("/accounts/first"), edge.gateway.log_of("/accounts/second")
        assert first is not None
        assert second is not None
        assert (first.outcome, first.status) == ("allow", 200)
        assert (second.outcome, second.status) == ("deny", 429)
        assert (second.subject, second.actor, second.session) == ("person:alice", "agent:loud", "d-1")


async def test_an_agent_has_one_limit_for_all_whom_it_acts_for_and_takes_nothing_from_them() -> None:
    async with limited(RateLimit(requests_per_second=0.01, burst=2)) as edge:
        people = ("person:alice", "person:bob", "person:carol")
        assert [await ask(edge, f"agent:bot for {person}") for person in people] == [200, 200, 429]
        assert [await ask(edge, person) for person in people] == [200, 200, 200]


async def test_what_is_denied_does_not_count() -> None:
    async with limited(RateLimit(requests_per_second=0.01, burst=1)) as edge:
        edge.gateway.answer = deny
        assert await many(edge, "agent:bot", 5) == {403: 5}
        edge.gateway.answer = whoever
        assert await ask(edge, "agent:bot") == 200


async def test_a_route_has_a_limit_of_its_own_and_a_change_of_it_counts_from_then_on() -> None:
    once = RateLimit(requests_per_second=0.01, burst=1)
    async with limited(SLOW, payments=once) as edge:
        assert await many(edge, "agent:bot", 3, "/payments") == {200: 1, 429: 2}
        assert (await many(edge, "agent:bot", SLOW.burst))[200] == SLOW.burst, "the other routes count apart"
        routes = [route.model_copy(update={"rate_limit": None}) for route in edge.config.routes]
        routes[1] = routes[1].model_copy(update={"rate_limit": RateLimit(requests_per_second=0.01, burst=3)})
        await edge.apply(edge.config.model_copy(update={"routes": tuple(routes)}))
        found = Counter[int]()

        async def again() -> bool:
            found.update(await many(edge, "agent:bot", 6, "/payments"))
            return found[200] == 3

        await until(again, "the new limit counts")
        assert (await many(edge, "agent:bot", 6, "/payments")) == {429: 6}


async def test_a_grpc_caller_is_told_in_its_own_words() -> None:
    async with limited(RateLimit(requests_per_second=0.01, burst=1)) as edge:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.config.edge.port}") as channel:
            call = channel.unary_unary("/bank.Ledger/Balance")
            told = (("authorization", "agent:bot"),)
            assert await call(b"1001", timeout=DEADLINE, metadata=told) == b"balance 1001"
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(b"1001", timeout=DEADLINE, metadata=told)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_without_a_limit_there_is_none() -> None:
    async with limited(None) as edge:
        assert await many(edge, "agent:bot", 200) == {200: 200}


async def test_answers_that_are_given_again_count_like_those_that_are_new() -> None:
    world = World(seconds=5.0, rate_limit=SLOW)
    await world.start()
    try:
        token, other = world.token("person:busy"), world.token("person:calm")
        began = time.monotonic()
        found = Counter(
            [
                (await world.send(number % 10, "127.0.0.1", "GET", "/accounts/1001", "bank", token))[0]
                for number in range(60)
            ]
        )
        most = SLOW.burst + 1 + (time.monotonic() - began) * SLOW.requests_per_second
        assert SLOW.burst <= found[200] <= most
        assert len(world.seen) <= world.config.edge.concurrency, "nearly all were given again"
        assert (await world.send(0, "127.0.0.1", "GET", "/accounts/1001", "bank", other))[0] == 200
    finally:
        await world.stop()
