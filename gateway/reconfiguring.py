"""Another configuration while the gateway runs: services and routes change together, or nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from prometheus_client import Counter

from gateway.config import Config
from gateway.configuration import ConfigurationError, Loaded
from gateway.configuration_changes import changed, needs_restart
from gateway.edge import Ads
from gateway.identification import Identification
from gateway.routing import Routing
from gateway.sessions import Session, Sessions
from gateway.trust import Upstreams

_PATIENCE: Final = 5.0  # seconds for the edge to take it
_RELOADS = Counter("portcullis_gateway_reloads_total", "Orders to reload the configuration", ["result"])
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of an order: what changed, or why nothing did."""

    problems: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # keys
    sessions_ended: int = 0


class Judges(Protocol):
    """All who judge, in whatever process: each judges so once these return."""

    def begin_change(self, config: Config) -> None:
        """As `Judge.begin_change`, to the routes of this configuration."""
        ...

    def end_change(self, config: Config) -> None:
        """As `Judge.end_change`."""
        ...


class Reconfiguring:
    """Carries out orders to reload, one at a time.

    While the edge changes, a path whose route changes is refused (503), for nobody knows which route the edge takes for
    it; all others are judged as ever. What the edge routed before and asks about later is let pass only if it was
    judged for the route that it takes (`gateway.routing`).
    """

    def __init__(
        self,
        config: Config,
        judges: Judges,
        identification: Identification,
        upstreams: Upstreams,
        sessions: Sessions,
        ads: Ads,
        publish: Callable[[Config], None],
    ) -> None:
        """`publish` makes a configuration what the edge should run on."""
        self._config = config
        self._judges = judges
        self._identification = identification
        self._upstreams = upstreams
        self._sessions = sessions
        self._ads = ads
        self._publish = publish
        self._busy = asyncio.Lock()

    async def reload(self, read: Callable[[], Loaded], dry_run: bool) -> Reloaded:
        """Check what `read` finds (on the disk), and make it live; when this returns, it is, or nothing has changed."""
        async with self._busy:
            try:
                after = (await asyncio.to_thread(read)).config
                answer = await self._checked(after, dry_run)
            except ConfigurationError as error:
                answer = Reloaded(error.problems)
        _RELOADS.labels("refused" if answer.problems else "ok").inc()
        if answer.problems:
            _log.error("configuration refused, the running one stays", problems=answer.problems)
        return answer

    async def _checked(self, after: Config, dry_run: bool) -> Reloaded:
        keys = tuple(changed(self._config, after))
        if fixed := [key for key in keys if needs_restart(key)]:
            return Reloaded(tuple(f"needs a restart: {key}" for key in fixed))
        upstreams = self._upstreams.beside(after.services)
        await upstreams.look()
        if unusable := upstreams.unusable():
            return Reloaded(tuple(f"services.{name}.tls: its files cannot be used" for name in unusable))
        if dry_run or not keys:
            return Reloaded(changed=keys)
        if not self._ads.state.envoys:
            return Reloaded(("the edge is not connected: nobody would take the change",))
        return await self._change(after, upstreams, keys)

    async def _change(self, after: Config, upstreams: Upstreams, keys: tuple[str, ...]) -> Reloaded:
        before, known = self._config, self._upstreams.beside(self._config.services)
        known.become(self._upstreams)
        self._judges.begin_change(after)
        self._identification.put_services({**before.services, **after.services})
        if why := await self._live(after, upstreams):
            await self._live(before, known)  # an edge that took half of it holds what the gateway does again
            self._identification.put_services(before.services)
            self._judges.end_change(before)
            return Reloaded((why,))
        self._judges.end_change(after)
        self._identification.put_services(after.services)
        ended = self._sessions.cut(self._moved(Routing(before), Routing(after)), "route_changed", "configuration")
        _log.info("configuration live", changed=keys, sessions_ended=ended)
        return Reloaded(changed=keys, sessions_ended=ended)

    async def _live(self, config: Config, upstreams: Upstreams) -> str:
        """Why the edge did not take it; "" if it did."""
        self._config = config
        self._upstreams.become(upstreams)
        self._publish(config)
        return await self._settled()

    async def _settled(self) -> str:
        """Wait until the edge holds what it should: others, like a certificate's file, may change that meanwhile."""
        wanted, end = "", asyncio.get_running_loop().time() + _PATIENCE
        while wanted != self._ads.state.desired:
            wanted = self._ads.state.desired
            if await self._ads.applied(wanted, end - asyncio.get_running_loop().time()):
                return ""
            if error := self._ads.state.last_error:
                return f"the edge refuses it: {error}"
        return f"the edge has not taken it in {_PATIENCE:.0f} s"

    def _moved(self, old: Routing, new: Routing) -> list[Session]:
        """Live streams whose route is another now, or none."""
        return [one for one in self._sessions if old.bound(one.request.path) != new.bound(one.request.path)]
