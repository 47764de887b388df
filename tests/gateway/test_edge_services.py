"""Services behind a real edge that are slow, broken or overrun: what a caller gets, and what is asked again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from deploy.demo.ports import free_port
from gateway.config import Config, Service
from tests.gateway.edge_rig import Rig, rig, until
from tests.gateway.upstream_rig import Upstream, serving, upstream

_SAFE, _OTHERS = ("GET", "HEAD", "OPTIONS"), ("POST", "PUT", "PATCH", "DELETE")


async def _status(edge: Rig, method: str = "GET", path: str = "/accounts/1", **sent: Any) -> int:
    async with edge.http.request(method, edge.url(path), **sent) as answer:
        return answer.status


def _behind(service: Upstream) -> Callable[[Config], Config]:
    return serving(Service(address="127.0.0.1", port=service.port))


async def _broken(request: web.Request) -> web.StreamResponse:
    """The request is read, and the connection closed."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _away(request: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


@pytest.mark.parametrize("method", _SAFE)
async def test_what_only_reads_is_asked_again_where_no_answer_came(method: str) -> None:
    async with (
        upstream(_broken) as service,
        rig(shape=serving(Service(address="127.0.0.1", port=service.port))) as edge,
    ):
        assert await _status(edge, method) == 503
    assert len(service.seen) == 3


@pytest.mark.parametrize("method", _OTHERS)
async def test_what_may_change_something_is_asked_once(method: str) -> None:
    async with (
        upstream(_broken) as service,
        rig(shape=serving(Service(address="127.0.0.1", port=service.port))) as edge,
    ):
        assert await _status(edge, method, data=b"x") == 503
    assert len(service.seen) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_answer_is_an_answer(method: str) -> None:
    async with upstream(_away) as service, rig(shape=_behind(service)) as edge:
        assert await _status(edge, method) == 503
    assert len(service.seen) == 1


async def test_a_live_stream_is_never_begun_again() -> None:
    service_of = serving(Service(address="127.0.0.1", port=1), stream=True)
    async with upstream(_broken) as service:

        def shape(config: Config) -> Config:
            config = service_of(config)
            accounts = Service(address="127.0.0.1", port=service.port)
            return config.model_copy(update={"services": {**config.services, "accounts": accounts}})

        async with rig(shape=shape) as edge:
            assert await _status(edge) == 503
    assert len(service.seen) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_address_that_is_away_costs_no_request(method: str) -> None:
    async with upstream(host="127.0.0.2") as service:
        accounts = Service(address="127.0.0.1", more_addresses=("127.0.0.2",), port=service.port)
        async with rig(shape=serving(accounts)) as edge:
            answers = [await _status(edge, method, data=b"x") for _ in range(30)]
    assert set(answers) == {200}
    assert len(service.seen) == 30


async def test_an_address_that_fails_has_a_rest() -> None:
    async with upstream(_away) as failing, upstream(host="127.0.0.2", port=failing.port) as working:
        accounts = Service(address="127.0.0.1", more_addresses=("127.0.0.2",), port=working.port)
        async with rig(shape=serving(accounts)) as edge:
            for _ in range(100):
                await _status(edge)
    assert 5 <= len(failing.seen) <= 10


async def test_a_service_of_one_address_is_asked_though_it_fails() -> None:
    async with upstream(_away) as service, rig(shape=_behind(service)) as edge:
        for _ in range(20):
            await _status(edge)
    assert len(service.seen) == 20


async def test_a_service_that_takes_too_long_is_not_waited_for() -> None:
    async with upstream() as service:
        accounts = serving(Service(address="127.0.0.1", port=service.port), timeout_seconds=0.3)
        async with rig(shape=accounts) as edge:
            start = time.monotonic()
            assert await _status(edge, "POST", "/accounts/held") == 504
            assert 0.3 <= time.monotonic() - start < 5
        service.held.set()


async def test_a_request_that_does_not_come_to_its_end_is_sent_away() -> None:
    async with upstream() as service:
        accounts = serving(Service(address="127.0.0.1", port=service.port), timeout_seconds=0.3)
        async with rig(shape=accounts) as edge:
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.config.edge.port)
            writer.write(b"POST /accounts/held HTTP/1.1\r\nhost: bank\r\ncontent-length: 100\r\n\r\nx")
            status = await asyncio.wait_for(reader.readline(), 10)
            writer.close()
        service.held.set()
    assert status.split()[1] == b"408"


async def test_a_live_stream_outlives_every_limit_of_time() -> None:
    async def slowly(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"first\n")
        await service.held.wait()
        await stream.write(b"last\n")
        return stream

    async with upstream(slowly) as service:
        accounts = serving(Service(address="127.0.0.1", port=service.port), stream=True, timeout_seconds=0.2)
        async with (
            rig(shape=accounts) as edge,
            edge.http.get(edge.url("/accounts/1")) as live,
            edge.http.get(edge.url("/accounts/2")) as other,
        ):
            assert [await live.content.readline(), await other.content.readline()] == [b"first\n"] * 2
            await asyncio.sleep(1)  # five times as long as other requests had
            service.held.set()
            assert [await live.content.readline(), await other.content.readline()] == [b"last\n"] * 2


async def test_a_service_keeps_only_so_many_requests_waiting() -> None:
    async with upstream() as service:
        accounts = serving(Service(address="127.0.0.1", port=service.port, max_requests=1, protocol="http1"))
        async with rig(shape=accounts) as edge:
            first = asyncio.create_task(_status(edge, path="/accounts/held"))
            await until(lambda: bool(service.seen), "the first arrives")
            assert await _status(edge) == 503
            async with edge.http.get(edge.url("/payments")) as answer:
                assert answer.status == 503  # the same service
            service.held.set()
            assert await first == 200
            assert await _status(edge) == 200


async def test_a_route_with_a_bound_sends_whole_requests_on_and_refuses_longer_ones() -> None:
    async with upstream() as service:
        accounts = serving(Service(address="127.0.0.1", port=service.port), max_body_kb=64)
        async with rig(shape=accounts) as edge:
            assert await _status(edge, "POST", data=b"x" * 65_536) == 200
            assert await _status(edge, "POST", data=b"x" * 300_000) == 413
            assert await _status(edge, "POST", data=_parts(300_000)) == 413
            assert len(service.seen) == 1
            _, writer = await asyncio.open_connection("127.0.0.1", edge.config.edge.port)
            writer.write(b"POST /accounts/1 HTTP/1.1\r\nhost: bank\r\ncontent-length: 100\r\n\r\nx")
            await writer.drain()
            assert await _status(edge) == 200
            writer.close()
    assert len(service.seen) == 2


async def _parts(size: int) -> Any:
    for _ in range(0, size, 10_000):
        yield b"x" * 10_000


async def test_beyond_their_bound_connections_are_closed() -> None:
    async with rig(max_connections=2) as edge:
        held = [await asyncio.open_connection("127.0.0.1", edge.config.edge.port) for _ in range(2)]
        for reader, writer in held:
            writer.write(b"GET /accounts/1 HTTP/1.1\r\nhost: bank\r\n\r\n")
            assert (await reader.readline()).split()[1] == b"200"
        with pytest.raises(aiohttp.ClientError):
            await _status(edge)
        for _, writer in held:
            writer.close()

        async def again() -> bool:
            try:
                return await _status(edge) == 200
            except aiohttp.ClientError:
                return False

        await until(again, "there is room again")


async def test_a_port_that_nobody_listens_on_is_503_soon() -> None:
    async with rig(shape=serving(Service(address="127.0.0.1", port=free_port()))) as edge:
        start = time.monotonic()
        assert await _status(edge) == 503
        assert time.monotonic() - start < 5
