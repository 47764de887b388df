"""Parts that may fail on their own: each is started again alone, later and later, and nothing else notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import Counter

_FIRST, _LONGEST = 0.5, 30.0  # seconds before the next start
_FAILURES = Counter("portcullis_gateway_part_failures_total", "Parts that failed and were started again", ["part"])
_log = structlog.get_logger()


async def keep_running(
    name: str,
    make: Callable[[], Awaitable[None]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Run `make()` until it returns, and again whenever it raises. One that ran long enough starts soon again."""
    delay = _FIRST
    while True:
        started = monotonic()
        try:
            return await make()
        except Exception as error:
            if monotonic() - started > _LONGEST:
                delay = _FIRST
            _FAILURES.labels(name).inc()
            _log.exception("part failed, starts again", part=name, error=repr(error), seconds=delay)
        await sleep(delay)
        delay = min(2 * delay, _LONGEST)
