"""All that stands between an order to block and a line: wired here, from the configuration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any

import msgspec
import structlog

from defense_lines import WINDOW, Callers, Guard, GuardLimits, Hub, Ledger, Radius, Watches
from gateway.approvals import Approvals, told
from gateway.approving import Approving
from gateway.blocking import Blocking
from gateway.callers_file import CallersFile
from gateway.config import Config
from gateway.host_addresses import host_addresses
from gateway.lifting import Lifting
from gateway.line_testing import LineTesting
from gateway.records import Records
from gateway.sessions import Sessions
from gateway.watching import Watching
from policy import BlockPolicy, Guarded, Pdp
from telemetry import Subscription

_log = structlog.get_logger()
_HOUR_SECONDS, _WEEK_SECONDS = 60.0, 600.0  # between two writes of who was seen


class Guarding:
    """The guard and those who ask it. `run` drives them until cancelled; `restore` comes first."""

    def __init__(
        self,
        config: Config,
        pdp: Pdp,
        ledger: Ledger,
        hub: Hub,
        records: Records,
        requests: Subscription,
        sessions: Sessions,
    ) -> None:
        """`requests` is fed with the edge's log; `sessions` are those that live."""
        self._host = host_addresses()
        limits = guard_limits(config, self._host)
        self.callers = Callers.nobody()
        self._files = (
            CallersFile(config.state / "callers-hour", self.callers.hour, _HOUR_SECONDS),
            CallersFile(config.state / "callers-week", self.callers.week, _WEEK_SECONDS),
        )
        self._pdp = pdp
        self._ledger = ledger
        self._guard = Guard(limits, self.callers, rules=self._rules, owners=partial(_owners, sessions))
        self.approvals = Approvals(config.guard.approval_seconds)
        self.watches = Watches(limits, self.callers, _unexplained)
        self.blocking = Blocking(self._guard, ledger, hub, records, self.approvals, self.watches, time.time)
        self.approving = Approving(self._guard, ledger, self.approvals, self.blocking)
        self.lifting = Lifting(ledger, hub, self.blocking)
        self.testing = LineTesting(self._guard, hub, ledger)
        self._watching = Watching(self.watches, self._guard, ledger, self.blocking, requests, time.time)

    def saw(self, principal: str, actor: str, address: str, session: str, now: float) -> None:
        """An allowed request at `now` (Unix seconds), once for each actor that has a part in it; `session` is "" if it
        was no stream.
        """
        self.callers.hour.saw(principal, actor, address, session, now)
        self.callers.week.saw(principal, actor, address, "", now)

    def reconfigured(self, config: Config) -> None:
        """Another configuration is live: what the gateway lives by now is never blocked."""
        self._guard.protect(guard_limits(config, self._host))

    def waiting(self, now: float) -> list[dict[str, Any]]:
        """Blocks that wait for a second person, as people read them."""
        return [told(held) for held in self.approvals.waiting(now)]

    async def restore(self) -> None:
        """What was known, what stands and what waits from before."""
        now = time.time()
        if not all([await file.restore(now) for file in self._files]):
            self._guard.blind(now + WINDOW)
        live = self._ledger.live(now)
        self._guard.restore(live, now, self._ledger.approved)
        self.blocking.restore(live)
        self.approvals.restore(self._ledger, now)
        self._watching.restore()

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


def _owners(sessions: Sessions, session: str) -> Iterator[str]:
    return (name for one in sessions.find("session", session) for name in one.request.principal.chain())


def guard_limits(config: Config, host: Sequence[str]) -> GuardLimits:
    """The guard's own view of its branch. What the gateway lives by is never blocked, as far as it is named by address:
    who stands in front of the edge, for everybody comes by them; the edge and what else listens, by all addresses of
    the `host` where it listens on all; services; brokers; a remote policy engine.
    """
    values = {name: value for name, value in config.guard.model_dump().items() if name != "approval_seconds"}
    return GuardLimits(**values, own_path=tuple(_own_path(config, host)))


def _own_path(config: Config, host: Sequence[str]) -> Iterator[tuple[str, str]]:
    for network in (*config.edge.trusted_proxies, *config.edge.proxy_protocol_from):
        yield network, "in front of the edge"
    for address, what in _listeners(config):
        if _is_all(address):
            yield from ((own, what) for own in host)
        elif _is_address(address):
            yield address, what
    for address, what in _peers(config):
        if _is_address(address) and not _is_all(address):
            yield address, what


def _listeners(config: Config) -> Iterator[tuple[str, str]]:
    yield config.edge.address, "the edge"
    if config.lines.agents:
        yield config.lines.agents.address, "the port of lines' agents"
    if config.lines.crowdsec:
        yield config.lines.crowdsec.address, "the port of CrowdSec's bouncers"
    if config.decisions and config.decisions.tcp:
        yield config.decisions.tcp.address, "the port of the decision API"
    if config.mesh and config.mesh.tcp:
        yield config.mesh.tcp.address, "the port of other Envoys"


def _peers(config: Config) -> Iterator[tuple[str, str]]:
    for name, service in config.services.items():
        for address in (service.address, *service.more_addresses):
            yield address, f"service {name}"
    if config.telemetry.mqtt:
        yield config.telemetry.mqtt.broker.host, "the telemetry's broker"
    if config.lines.openc2:
        yield config.lines.openc2.broker.host, "the OpenC2 line's broker"
    if config.policy.engine == "opa":
        yield config.policy.opa.host, "OPA"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_all(text: str) -> bool:
    return _is_address(text) and ip_address(text).is_unspecified


def _unexplained(figures: str) -> None:
    _log.error("good callers fail, and too many new blocks may be why: none is taken back", figures=figures)
