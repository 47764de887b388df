"""The load beside it: honest principals who ask the same again and again, at a steady rate (h2load)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from bench.result import CannotRun
from bench.system import tool

CONNECTIONS = 8  # of each principal
_LONG = "86400"  # seconds: until it is ended


@asynccontextmanager
async def load(url: str, tokens: Sequence[str], rate: float) -> AsyncIterator[None]:
    """So many requests a second by all of them together, as long as the block. Raises CannotRun when one ends early."""
    each = max(1, round(rate / len(tokens) / CONNECTIONS))
    settings = ("--h1", "-t1", f"-c{CONNECTIONS}", f"--rps={each}", f"-D{_LONG}")
    async with AsyncExitStack() as stack:
        children = [
            await stack.enter_async_context(_child(*settings, "-H", f"authorization: Bearer {token}", url))
            for token in tokens
        ]
        yield
        if any(child.returncode is not None for child in children):
            raise CannotRun("the load ended early")


@asynccontextmanager
async def _child(*settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (tool("h2load", "nghttp2-client"), *settings)
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
