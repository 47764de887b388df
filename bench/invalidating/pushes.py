"""What else can be done with stock Envoy: everybody's answers dropped by a change of the routes, pushed over xDS (RDS).

What is remembered would carry the routes' epoch, and count no more under another. Here the epoch is a header that the
routes add to each answer: an answer with the new one is the first that would have been judged anew. There is no order,
no record and nobody who judges: the clock starts as the routes are published.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from bench.invalidating.measuring import pinned
from bench.invalidating.probe import Probe, Start, probe
from bench.invalidating.site import ACCOUNT
from bench.invalidating.window import Workers, first_of, workers_of
from bench.result import CannotRun
from bench.system import Plain
from gateway.edge import Snapshot, resources

_MARK = "x-epoch"
_ROUTES = "type.googleapis.com/" + RouteConfiguration.DESCRIPTOR.full_name
_WORKER = "%UPSTREAM_LOCAL_ADDRESS%"  # each worker has its own connections to the service
_NEVER = "never"
_PASSES = 3
_TRIES, _PAUSE = 40, 0.1  # seconds


@dataclass
class Pushes:
    """A stock Envoy, and connections of both of its workers."""

    plain: Plain
    probe: Probe
    workers: Workers
    epoch: int = 0

    async def pushed(self) -> list[float]:
        """Milliseconds until the first answer of each worker under the new routes. Raises CannotRun."""
        await asyncio.to_thread(self.probe.begin, "")
        self.epoch += 1
        routes = marked(self.plain, str(self.epoch))
        start = time.monotonic_ns()
        self.plain.ads.publish(routes)
        samples = await asyncio.to_thread(self.probe.end)
        new = first_of([one for one in samples if one.mark == str(self.epoch)], self.workers)
        return [(one.answered - start) / 1e6 for one in new]


@asynccontextmanager
async def pushes(plain: Plain, lanes: int, workers: int) -> AsyncIterator[Pushes]:
    """Connected as long as the block; nobody else may ask before it begins. Raises CannotRun."""
    plain.ads.publish(marked(plain, _WORKER))
    with probe(Start(plain.port, ACCOUNT, _MARK, lanes)) as asking:
        kept = pinned(await asyncio.to_thread(_found, asking, workers))
        asking.keep(list(kept))
        plain.ads.publish(marked(plain, _NEVER))
        await asyncio.to_thread(_until, asking, _NEVER)
        yield Pushes(plain, asking, kept)


def marked(plain: Plain, mark: str) -> Snapshot:
    """Its resources, with what routes add to each answer."""
    stock = resources(plain.config, judge=False)
    (name, content), *_ = stock.of(_ROUTES).items()
    routes = RouteConfiguration.FromString(content)
    added = HeaderValueOption(append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
    added.header.key, added.header.value = _MARK, mark
    routes.response_headers_to_add.append(added)
    return Snapshot({**stock.types, _ROUTES: {name: routes.SerializeToString()}})


def _found(asking: Probe, workers: int) -> Workers:
    """Whose connections are, once the routes are there that tell."""
    for _ in range(_TRIES):
        if found := workers_of(asking.passes("", _PASSES), workers):
            return found
        time.sleep(_PAUSE)
    raise CannotRun(f"{workers} workers of stock Envoy were not found")


def _until(asking: Probe, mark: str) -> None:
    for _ in range(_TRIES):
        if {one.mark for one in asking.passes("", 1)} == {mark}:
            return
        time.sleep(_PAUSE)
    raise CannotRun("stock Envoy did not take the routes that it was given")
