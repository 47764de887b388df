"""Envoy with our module ends well, and takes another listener, while requests wait for the gateway."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientError

from tests.gateway.edge_rig import DEADLINE, Rig, rig, until


async def ask(edge: Rig) -> int:
    try:
        async with edge.http.get(edge.url("/accounts")) as answer:
            return answer.status
    except ClientError:
        return 0  # Envoy was gone


@pytest.mark.parametrize("delay", [0.0, 0.05, 10.0])
async def test_it_ends_well_with_questions_unanswered(delay: float) -> None:
    async with rig(concurrency=2) as edge:
        edge.gateway.delay = delay
        waiting = [asyncio.create_task(ask(edge)) for _ in range(50)]
        await until(lambda: len(edge.gateway.asked) >= 20, "the gateway is asked")
        edge.process.terminate()
        assert await asyncio.wait_for(edge.process.wait(), DEADLINE) == 0, "it crashed"
        assert set(await asyncio.gather(*waiting)) <= {200, 503, 0}


async def test_a_listener_that_changes_takes_no_answer_away() -> None:
    """The old one's filters live until their requests end, and the new one's ask through the same connections."""
    async with rig(concurrency=2, drain_seconds=1) as edge:
        edge.gateway.delay = 0.2
        for kilobytes in (50, 40, 30):
            waiting = [asyncio.create_task(ask(edge)) for _ in range(20)]
            changed = edge.config.edge.model_copy(update={"max_headers_kb": kilobytes})
            await edge.apply(edge.config.model_copy(update={"edge": changed}))
            waiting += [asyncio.create_task(ask(edge)) for _ in range(20)]
            assert set(await asyncio.gather(*waiting)) == {200}
        stats = await edge.admin.stats("portcullis.")
        assert stats["portcullis.unavailable"] == 0
