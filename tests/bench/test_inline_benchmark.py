"""What `bench inline` is made of: a caller that waits for nobody, an upstream that speaks gRPC, and its arithmetic."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from bench.edges.agreement import must_agree
from bench.edges.closed_loop import Load, saturate
from bench.edges.figures import Found, Waits, figures, ratios
from bench.edges.open_loop import Latency, at_rate
from bench.edges.plugin import FORM, OTHER_FORMS, plugin, program
from bench.edges.side import Side
from bench.edges.site import Site, configuration
from bench.edges.variant import ALICE, ANSWER, ASKED, BALANCE, SCOPE, VARIANTS, Variant
from bench.result import CannotRun
from bench.system import Issuer, upstream

HTTP, GRPC, TLS, _ = VARIANTS
STALL = 0.2  # seconds
WARM = 64  # requests before anything counts
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Edge(asyncio.Protocol):
    """Answers requests, which come one at a time; `answer` is told their number."""

    def __init__(self, numbers: Iterator[int], answer: Callable[[int], bytes]) -> None:
        self._numbers, self._answer = numbers, answer
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer(next(self._numbers)))


@asynccontextmanager
async def served(answer: Callable[[int], bytes]) -> AsyncIterator[Side]:
    numbers = itertools.count(1)
    server = await asyncio.get_running_loop().create_server(lambda: Edge(numbers, answer), "127.0.0.1", 0)
    async with server:
        yield Side("edge", server.sockets[0].getsockname()[1], {})


async def test_what_a_stall_keeps_waiting_has_waited() -> None:
    """A caller that waits for its answers would see one slow request."""

    def stalls(number: int) -> bytes:
        if number == WARM + 200:
            time.sleep(STALL)  # nobody is answered meanwhile
        return OK

    async with served(stalls) as edge:
        wait = await at_rate(edge, HTTP, "t", rate=500, seconds=2)
    assert wait.carried > 0.9
    assert wait.p99_us > STALL * 1e6 / 2  # a hundred of 1,000 were due meanwhile, half of them in its first half


async def test_who_is_never_answered_has_waited_until_the_end() -> None:
    async with served(lambda number: OK if number <= WARM else b"") as edge:
        wait = await at_rate(edge, HTTP, "t", rate=100, seconds=1)
    assert wait.carried == 0
    assert wait.p50_us > 500_000


async def test_a_refusal_ends_it() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    async with served(lambda number: OK if number < WARM + 50 else refusal) as edge:
        with pytest.raises(CannotRun, match="edge was not asked to the end"):
            await at_rate(edge, HTTP, "t", rate=200, seconds=1)


@pytest.fixture
def tools() -> None:
    for name in ("nginx", "h2load", "wrk"):
        if shutil.which(name) is None and shutil.which(name, path="/usr/sbin") is None:
            pytest.skip(f"needs {name}")


@pytest.mark.usefixtures("tools")
async def test_the_upstream_answers_real_grpc_and_both_loads(tmp_path: Path) -> None:
    async with upstream(tmp_path, ANSWER) as behind:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{behind.grpc}") as channel:
            assert await channel.unary_unary(BALANCE)(ASKED) == ANSWER
        side = Side("upstream", behind.grpc, {})
        assert (await at_rate(side, GRPC, "t" * 600, rate=100, seconds=1)).carried > 0.5
        assert (await saturate(side, GRPC, "t" * 600, 1, tmp_path)).rate > 10


@pytest.mark.usefixtures("tools")
async def test_a_call_that_is_refused_is_200_and_ends_the_load(tmp_path: Path) -> None:
    async with upstream(tmp_path, b"") as behind:  # not the message that must come
        side = Side("upstream", behind.grpc, {})
        with pytest.raises(CannotRun, match="with a message"):
            await saturate(side, GRPC, "t", 1, tmp_path)
        with pytest.raises(CannotRun, match="not asked to the end"):
            await at_rate(side, GRPC, "t", rate=100, seconds=1)


@pytest.fixture
async def peers(tmp_path: Path, tools: None) -> AsyncIterator[Site]:
    """The peer's three forms, answered for by the program that is built here."""
    try:
        answering = await asyncio.to_thread(program)
    except CannotRun:
        pytest.skip("needs go")
    issuer = Issuer()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(issuer.serve())
        behind = await stack.enter_async_context(upstream(tmp_path, ANSWER))
        config = configuration(tmp_path, behind, issuer.url, None)
        sides = {}
        for form in (FORM, *OTHER_FORMS):
            folder = tmp_path / form.name
            folder.mkdir()
            made = plugin(form, answering, config, folder, issuer, None)
            sides[form.name] = await stack.enter_async_context(made)
        yield Site(sides, issuer, issuer.token(ALICE, scope=SCOPE), None)


@pytest.mark.system
async def test_the_peer_decides_as_the_starter_policy(peers: Site, tmp_path: Path) -> None:
    await must_agree(peers, HTTP)
    await must_agree(peers, GRPC)
    careless = Side("plugin", peers.sides["plugin_decoded"].port, {})
    with pytest.raises(CannotRun, match="plugin answered otherwise than it must: a signature that is none"):
        await must_agree(replace(peers, sides={"plugin": careless}), HTTP)
    load = await saturate(peers.sides["plugin"], HTTP, peers.token, 1, tmp_path)
    assert load.cpu_us.keys() == {"envoy", "plugin"}
    assert min(load.cpu_us.values()) > 0


def _load(rate: float, envoy: float, **others: float) -> Load:
    return Load(rate, {"envoy": envoy, **others})


def test_a_ratio_is_taken_within_its_round() -> None:
    loads = {
        "plain": [_load(100, 50), _load(1000, 60), _load(10, 70)],
        "judged": [_load(50, 100, gateway=100), _load(600, 100, gateway=20), _load(7, 100, gateway=40)],
        "cached": [_load(90, 50), _load(900, 60), _load(9, 70)],
    }
    found = Found(TLS, loads)
    assert ratios(found) == {
        "cached_vs_plain_tls": 0.9,
        "cached_vs_plain_cpu_tls": 1,
        "cached_vs_plain_all_cpu_tls": 1,
        "judged_vs_plain_tls": 0.6,
        "judged_vs_plain_cpu_tls": 0.6,
        "judged_vs_plain_all_cpu_tls": 0.5,
    }
    numbers = figures(found)
    assert (numbers["judged_vs_plain_min_tls"], numbers["judged_vs_plain_max_tls"]) == (0.5, 0.7)
    assert (numbers["judged_per_second_tls"], numbers["judged_gateway_cpu_us_tls"]) == (50, 40)


@pytest.mark.parametrize("variant", [HTTP, GRPC])
def test_what_is_added_is_added_to_the_same_round(variant: Variant) -> None:
    plain = [Latency(100, 1000, 1), Latency(500, 5000, 1), Latency(200, 2000, 1)]
    judged = [Latency(300, 1500, 1), Latency(600, 5200, 0.5), Latency(350, 2600, 1)]
    cached = [Latency(110, 1010, 1), Latency(520, 5020, 1), Latency(230, 2030, 1)]
    loads = {name: [_load(100, 50)] for name in ("plain", "judged", "cached")}
    numbers = figures(Found(variant, loads, {"judged": Waits(50, judged, plain), "cached": Waits(80, cached, plain)}))
    end = variant.suffix
    assert numbers[f"judged_added_p50_us{end}"] == 150
    assert numbers[f"judged_added_p99_us{end}"] == 500
    assert (numbers[f"cached_added_p50_us{end}"], numbers[f"cached_added_p99_us{end}"]) == (20, 20)
    assert (numbers[f"judged_half_per_second{end}"], numbers[f"judged_half_carried{end}"]) == (50, 1)
    assert (numbers[f"judged_half_plain_p50_us{end}"], numbers[f"cached_half_per_second{end}"]) == (200, 80)
