"""New blocks are watched for what they do to good callers: a canary goes to all lines, or what harms is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter

from defense_lines import (
    Concluded,
    Guard,
    Harmed,
    Hold,
    InvalidRecord,
    Leave,
    Ledger,
    LedgerUnwritable,
    Permit,
    Refusal,
    Watch,
    Watches,
)
from gateway.blocking import Blocking, new_id
from gateway.outcomes import outcomes
from policy import BlockPolicy
from telemetry import Subscription

_log = structlog.get_logger()
_LOOK = 0.5  # seconds between looks
_ENDED = Counter("portcullis_gateway_watches_total", "Watches of new blocks, by what they came to", ["outcome"])


class Watching:
    """Feeds the watches from the edge's log, and does what they come to. `clock` gives Unix seconds."""

    def __init__(
        self,
        watches: Watches,
        guard: Guard,
        ledger: Ledger,
        blocking: Blocking,
        requests: Subscription,
        clock: Callable[[], float],
    ) -> None:
        self._watches = watches
        self._guard = guard
        self._ledger = ledger
        self._blocking = blocking
        self._requests = requests
        self._clock = clock
        self._ending: set[str] = set()  # block ids

    def restore(self) -> None:
        """Canaries that stood when the gateway ended are watched anew; what did harm is remembered."""
        now, undecided = self._clock(), self._ledger.undecided
        for target, time in undecided.harmful().items():
            self._guard.harmed(target, time)
        for staged in undecided.staged():
            if block := self._ledger.standing(staged.block, now):
                self._watches.add(block, staged.policy, staged.bearable, staged.approved, now)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            while True:
                await asyncio.sleep(_LOOK)
                self._look(tasks)

    async def _follow(self) -> None:
        async for batch in self._requests:
            self._watches.saw(*outcomes(batch), self._clock())

    def _look(self, tasks: asyncio.TaskGroup) -> None:
        now = self._clock()
        self._blocking.expire(now)
        for harmed in self._watches.harmed(now):
            self._begin(tasks, harmed.watch, self._take_back(harmed))
        for watch in self._watches.over(now):
            if watch.whole is None:
                self._watches.remove(watch.block.id)
                _ENDED.labels("well").inc()
            else:
                self._begin(tasks, watch, self._promote(watch, watch.whole))

    def _begin(self, tasks: asyncio.TaskGroup, watch: Watch, end: Coroutine[Any, Any, str]) -> None:
        if watch.block.id in self._ending:
            end.close()
        else:
            self._ending.add(watch.block.id)
            tasks.create_task(self._end(watch, end))

    async def _end(self, watch: Watch, end: Coroutine[Any, Any, str]) -> None:
        """What cannot be written is tried again at the next look."""
        try:
            _ENDED.labels(await end).inc()
            self._watches.remove(watch.block.id)
        except (LedgerUnwritable, InvalidRecord) as error:
            _log.error("watch not concluded", block=watch.block.id, error=str(error))
        finally:
            self._ending.discard(watch.block.id)

    async def _take_back(self, harmed: Harmed) -> str:
        watch, figures = harmed
        block = watch.block
        _log.warning("block taken back for harm", block=block.id, figures=figures)
        self._guard.harmed(block.target, self._clock())
        because = Concluded(block=block.id, policy=block, outcome="harm", reason=figures)
        await self._blocking.lift(block.id, "guard:harm", figures, because=because)
        return "harm"

    async def _promote(self, watch: Watch, whole: BlockPolicy) -> str:
        """To all lines, as it was asked for, if it may still stand; the canary ends with it."""
        canary, now = watch.block, self._clock()
        if canary.id not in self._watches or canary.expires <= now:
            return "gone"
        if self._ledger.standing(canary.id, now) is None:
            raise LedgerUnwritable("the canary is not on record yet")
        follows, leave = msgspec.structs.replace(whole, id=new_id()), Leave(approved=watch.approved, watched=True)
        judged = self._guard.judge(follows, now, leave)
        if not isinstance(judged, Permit):
            return await self._stop(canary, judged)
        said = f"{len(watch.refused)} good callers refused, {watch.bearable} are borne"
        ended = Concluded(block=canary.id, policy=canary, outcome="promoted", follows=follows.id, reason=said)
        await self._blocking.succeed(canary, judged, ended, now)
        return "promoted"

    async def _stop(self, canary: BlockPolicy, judged: Refusal | Hold) -> str:
        """It may not go to all lines any more, and who asked learns why."""
        because = Concluded(block=canary.id, policy=canary, outcome="stopped", reason=judged.reason)
        await self._blocking.lift(canary.id, "guard:canary", "stopped", mistaken=False, because=because)
        await self._blocking.acknowledged(self._blocking.refused(judged, self._clock()))
        return "stopped"
