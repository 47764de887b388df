"""The xDS server: Envoy's one stream, its requests into the state machine and the pushes out to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import grpc
import structlog
from envoy.service.discovery.v3 import ads_pb2_grpc
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from google.protobuf.any_pb2 import Any as AnyMessage
from prometheus_client import Counter, Gauge

from gateway.edge.discovery import Discovery, EdgeState, Push, Request
from gateway.edge.snapshot import ORDER, Snapshot

_PUSHES = Counter("portcullis_gateway_edge_pushes_total", "Configuration pushes to Envoy", ["type"])
_REJECTIONS = Counter("portcullis_gateway_edge_rejections_total", "Pushes that an Envoy refused")
_ENVOYS = Gauge("portcullis_gateway_edge_envoys", "Envoys connected over ADS")
_log = structlog.get_logger()


@dataclass(slots=True)
class _Outbox:
    """What one Envoy is still to be sent: at most one push of a type, the newest."""

    pushes: dict[str, Push] = field(default_factory=dict)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, push: Push) -> None:
        self.pushes[push.type_url] = push
        self.filled.set()

    async def take(self) -> list[Push]:
        await self.filled.wait()
        self.filled.clear()
        taken = [self.pushes[type_url] for type_url in ORDER if type_url in self.pushes]
        self.pushes.clear()
        return taken


class Ads(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]
    """Serves one snapshot to every Envoy that connects. All methods belong to one event loop."""

    def __init__(self) -> None:
        self._discovery = Discovery()
        self._outboxes: dict[int, _Outbox] = {}
        self._streams = count(1)
        self._moved = asyncio.Event()  # replaced at each change; see `_changed`

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register with a gRPC server that has not started."""
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, server)

    def publish(self, snapshot: Snapshot) -> str:
        """Make `snapshot` what every Envoy should hold, now and when it connects; its version."""
        self._deliver(self._discovery.publish(snapshot))
        return snapshot.version

    async def applied(self, version: str, deadline: float) -> bool:
        """Wait, at most `deadline` seconds, until every connected Envoy holds `version`; false if refused or late."""
        try:
            async with asyncio.timeout(deadline):
                return await self._settled(version)
        except TimeoutError:
            return False

    @property
    def state(self) -> EdgeState:
        """What the edge runs on, and why not on what was published last."""
        return self._discovery.state()

    async def StreamAggregatedResources(  # noqa: N802 - the name is the protocol's
        self, requests: AsyncIterator[DiscoveryRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """One Envoy, from its connection to its end."""
        stream, outbox = next(self._streams), _Outbox()
        self._outboxes[stream] = outbox
        self._discovery.opened(stream)
        _ENVOYS.inc()
        try:
            await self._converse(stream, outbox, requests, context)
        finally:
            _ENVOYS.dec()
            self._discovery.closed(stream)
            del self._outboxes[stream]
            self._changed()

    async def _converse(
        self,
        stream: int,
        outbox: _Outbox,
        requests: AsyncIterator[DiscoveryRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(_write(outbox, context))
            async for request in requests:
                self._hear(stream, request)
            writing.cancel()

    def _hear(self, stream: int, message: DiscoveryRequest) -> None:
        before = self._discovery.rejections
        self._deliver(self._discovery.received(stream, request_of(message)))
        if self._discovery.rejections > before:
            _REJECTIONS.inc()
            state = self.state
            _log.error("edge refused its configuration", error=state.last_error, kept=state.accepted or "nothing")

    def _deliver(self, pushes: Iterable[Push]) -> None:
        for push in pushes:
            self._outboxes[push.stream].put(push)
        self._changed()

    def _changed(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _settled(self, version: str) -> bool:
        while not self._discovery.applied(version):
            if self.state.desired != version or self.state.last_error:
                return False
            await self._moved.wait()
        return True


def request_of(message: DiscoveryRequest) -> Request:
    """Envoy's message as the state machine reads it."""
    failed = message.HasField("error_detail")
    return Request(
        type_url=message.type_url,
        version=message.version_info,
        nonce=message.response_nonce,
        names=frozenset(message.resource_names),
        error=(message.error_detail.message or "refused without a reason") if failed else "",
    )


def response_of(push: Push) -> DiscoveryResponse:
    """A push as Envoy reads it."""
    resources = [AnyMessage(type_url=push.type_url, value=value) for value in push.resources.values()]
    return DiscoveryResponse(type_url=push.type_url, version_info=push.version, nonce=push.nonce, resources=resources)


async def _write(outbox: _Outbox, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    while True:
        for push in await outbox.take():
            await context.write(response_of(push))
            _PUSHES.labels(push.type_url.rpartition(".")[2]).inc()
