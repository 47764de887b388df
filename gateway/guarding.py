"""All that stands between an order to block and a line: wired here, from the configuration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import msgspec
import structlog

from defense_lines import Callers, Guard, GuardLimits, Hub, Ledger, Radius, Watches
from gateway.approvals import Approvals, told
from gateway.approving import Approving
from gateway.blocking import Blocking
from gateway.callers_file import CallersFile
from gateway.config import Config
from gateway.lifting import Lifting
from gateway.line_testing import LineTesting
from gateway.records import Records
from gateway.watching import Watching
from policy import BlockPolicy, Guarded, Pdp
from telemetry import Subscription

_log = structlog.get_logger()
_HOUR_SECONDS, _WEEK_SECONDS = 60.0, 600.0  # between two writes of who was seen


class Guarding:
    """The guard and those who ask it. `run` drives them until cancelled; `restore` comes first."""

    def __init__(
        self, config: Config, pdp: Pdp, ledger: Ledger, hub: Hub, records: Records, requests: Subscription
    ) -> None:
        """`requests` is fed with the edge's log."""
        limits = guard_limits(config)
        self.callers = Callers.nobody()
        self._files = (
            CallersFile(config.state / "callers-hour", self.callers.hour, _HOUR_SECONDS),
            CallersFile(config.state / "callers-week", self.callers.week, _WEEK_SECONDS),
        )
        self._pdp = pdp
        self._ledger = ledger
        self._guard = Guard(limits, self.callers, rules=self._rules)
        self.approvals = Approvals(config.guard.approval_seconds)
        watches = Watches(limits, self.callers, _unexplained)
        self.blocking = Blocking(self._guard, ledger, hub, records, self.approvals, watches, time.time)
        self.approving = Approving(self._guard, ledger, self.approvals, self.blocking)
        self.lifting = Lifting(ledger, self.blocking)
        self.testing = LineTesting(self._guard, hub, ledger)
        self._watching = Watching(watches, self._guard, ledger, self.blocking, requests, time.time)

    def saw(self, principal: str, actor: str, address: str, session: str, now: float) -> None:
        """An allowed request at `now` (Unix seconds); `session` is "" if it was no stream."""
        self.callers.hour.saw(principal, actor, address, session, now)
        self.callers.week.saw(principal, actor, address, "", now)

    def waiting(self, now: float) -> list[dict[str, Any]]:
        """Blocks that wait for a second person, as people read them, each with whom it would hit now."""
        return [
            told(held) | {"radius_now": msgspec.to_builtins(self._guard.radius(held.policy.target, now))}
            for held in self.approvals.waiting(now)
        ]

    async def restore(self) -> None:
        """What was known, what stands and what waits from before."""
        now = time.time()
        for file in self._files:
            await file.restore(now)
        self._guard.restore(self._ledger.live(now), now)
        await self.approvals.restore(self._ledger, now)
        await self._watching.restore()

    async def run(self) -> None:
        """Until cancelled; then who was seen is kept."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watching.run())
                for file in self._files:
                    tasks.create_task(file.keep())
        finally:
            for file in self._files:
                await file.save()

    def _rules(self, block: BlockPolicy, radius: Radius, now: float) -> Guarded:
        return self._pdp.guarded(block, msgspec.to_builtins(radius), now)


def guard_limits(config: Config) -> GuardLimits:
    """The guard's own view of its branch. What the gateway lives by is never blocked, as far as it is named by address:
    who stands in front of the edge, for everybody comes by them; the edge; services; brokers; a remote policy engine.
    """
    values = {name: value for name, value in config.guard.model_dump().items() if name != "approval_seconds"}
    return GuardLimits(**values, own_path=tuple(_own_path(config)))


def _own_path(config: Config) -> Iterator[tuple[str, str]]:
    for network in (*config.edge.trusted_proxies, *config.edge.proxy_protocol_from):
        yield network, "in front of the edge"
    for address, what in _peers(config):
        if _is_one(address):
            yield address, what


def _peers(config: Config) -> Iterator[tuple[str, str]]:
    yield config.edge.address, "the edge"
    for name, service in config.services.items():
        for address in (service.address, *service.more_addresses):
            yield address, f"service {name}"
    if config.telemetry.mqtt:
        yield config.telemetry.mqtt.broker.host, "the telemetry's broker"
    if config.lines.openc2:
        yield config.lines.openc2.broker.host, "the OpenC2 line's broker"
    if config.policy.engine == "opa":
        yield config.policy.opa.host, "OPA"


def _is_one(address: str) -> bool:
    try:
        return not ip_address(address).is_unspecified
    except ValueError:
        return False


def _unexplained(figures: str) -> None:
    _log.error("good callers fail, and too many new blocks may be why: none is taken back", figures=figures)
