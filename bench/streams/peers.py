"""What else can be done with stock Envoy to end the streams of one principal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.result import CannotRun
from bench.streams.caller import Caller
from bench.streams.crowd import EACH, Crowd, crowd
from bench.streams.order import order
from bench.system import Plain
from gateway.config import Config
from gateway.edge import resources

PERIOD = 5.0  # seconds between two looks, as OpenZiti's
_LEFT = 10.0  # seconds in which streams end that a drained listener takes with it


@dataclass(frozen=True)
class Drained:
    """A listener update that is to end one principal's streams."""

    seconds: Sequence[float]  # from the update to the end of each of the principal's streams
    disturbed: int  # streams of others that ended too


async def drained(plain: Plain, tokens: dict[str, str], chosen: int, change: int) -> Drained:
    """Change the listener of an Envoy without any of ours, whose drain time is the shortest there is (1 s).

    `change` makes it another listener than before. Raises CannotRun when the streams of the principal with the number
    `chosen` do not end.
    """
    async with crowd(plain.port, tokens) as people:
        victim, before = people.callers[chosen], people.live
        start = time.monotonic()
        plain.ads.publish(resources(_changed(plain, change), judge=False))
        await victim.ended()
        await _drained(people)
        return Drained([end - start for end in victim.ends], before - people.live - len(victim.ends))


async def checked(admin: Path, people: Crowd, moments: Sequence[tuple[Caller, float]]) -> list[float]:
    """Every five seconds look at each session, and cut those of who was revoked since. Each of `moments` is whom, and
    how many seconds after one look and before the next she is revoked. Seconds from there to the end of each stream.
    """
    start = time.monotonic()
    revoked_at = {caller.principal: start + after for caller, after in moments}
    await asyncio.sleep(PERIOD)
    for caller in people.callers:  # a look costs next to nothing here; it costs an OpenZiti router a question each
        if revoked_at.get(caller.principal, float("inf")) <= time.monotonic():
            await _cut(admin, caller)
    return [end - revoked_at[caller.principal] for caller, _ in moments for end in caller.ends]


async def _cut(admin: Path, caller: Caller) -> None:
    caller.ends.clear()
    async with order(admin) as ordered:
        ordered.cut("principal", caller.principal)
        await caller.ended()
        if await ordered.answer() != EACH:
            raise CannotRun(f"not every stream of {caller.principal} was cut")


async def _drained(people: Crowd) -> None:
    """Wait until nobody's streams live, or the time is over in which a drained listener ends them."""
    with suppress(TimeoutError):
        await asyncio.wait_for(people.ended(), _LEFT)


def _changed(plain: Plain, change: int) -> Config:
    edge = plain.config.edge
    changed = edge.model_copy(update={"max_headers_kb": edge.max_headers_kb - 1 - change})
    return plain.config.model_copy(update={"edge": changed})
