"""The bus carries batches from sources to whoever subscribed, each at its own pace, and counts what it had to shed.

Each subscriber has its own queue, bounded in events and in bytes, so a slow one harms nobody else. A full queue sheds
the oldest events of the source that fills it most: a flood pushes out only itself, and a source that keeps within an
equal share loses nothing. Full of bytes, it sheds whole batches. History (imported files) goes to who asked for it.
For each subscriber and source, at any moment: published = delivered + shed + queued, counted in events.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence

import numpy as np
import prometheus_client

from telemetry.event import EventBatch, concatenate
from telemetry.few_names import OTHERS, FewNames

MAX_SOURCES = 256  # told apart; those beyond share one place
DELIVERY = 131_072  # events of one delivery at most
JOINED = (
    8_192  # events up to which batches are joined in one delivery: joining costs more than what it saves after that
)
MAX_BYTES = 256 * 1024 * 1024  # of one queue; ten times what a full queue of usual events takes
DELIVERY_BATCHES = 64  # batches of one delivery at most; joining either many holds up the loop for 2 or 3 ms

_PUBLISHED = prometheus_client.Counter("portcullis_telemetry_published_total", "Events published", ["source"])
_SHED = prometheus_client.Counter(
    "portcullis_telemetry_shed_total", "Events that a full queue shed", ["subscriber", "source"]
)
_DELIVERED = prometheus_client.Counter("portcullis_telemetry_delivered_total", "Events delivered", ["subscriber"])
_BYTES = prometheus_client.Gauge("portcullis_telemetry_queued_bytes", "Bytes waiting", ["subscriber"])
_QUEUED = prometheus_client.Gauge("portcullis_telemetry_queued_events", "Events waiting", ["subscriber"])


class Closed(Exception):
    """The subscription was closed: there is nothing more to wait for."""


class Subscription:
    """One subscriber's queue. Iterate it, or call `next`; close it when done. Not for several readers at once."""

    def __init__(self, bus: Bus, name: str, limit_events: int, history: bool = False) -> None:
        self.name = name
        self.limit = limit_events
        self.history = history
        self.queued = 0
        self.queued_bytes = 0
        self.published: Counter[str] = Counter()  # these three by source
        self.delivered: Counter[str] = Counter()
        self.shed: Counter[str] = Counter()
        self._bus = bus
        self._queues: dict[str, deque[tuple[int, int, EventBatch]]] = {}  # by source: arrival number, bytes, events
        self._sizes: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._arrivals = 0
        self._filled = asyncio.Event()
        self._closed = False

    async def next(self) -> EventBatch:
        """Wait for events, then take some of what is queued, in order of arrival, as one batch of at most DELIVERY.

        What is over comes at once with the next call.

        Raises Closed once the subscription is closed.
        """
        while not self.queued and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        if self._closed:
            raise Closed(self.name)
        return self._take()

    def close(self) -> None:
        """Leave the bus. What is still queued counts as shed. Wakes who waits; closing twice is nothing."""
        if self._closed:
            return
        self._closed = True
        self._bus._leave(self)
        for source, size in self._sizes.items():
            self._count_shed(source, size)
        self._queues.clear()
        self._sizes.clear()
        self._bytes.clear()
        self.queued = self.queued_bytes = 0
        self._show()
        self._filled.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> EventBatch:
        try:
            return await self.next()
        except Closed:
            raise StopAsyncIteration from None

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _put(self, source: str, size: int, batch: EventBatch) -> None:
        """Queue one source's events, `size` bytes; shed if that is too much."""
        self._arrivals += 1
        self._queues.setdefault(source, deque()).append((self._arrivals, size, batch))
        self._sizes[source] += len(batch)
        self._bytes[source] += size
        self.published[source] += len(batch)
        self.queued += len(batch)
        self.queued_bytes += size
        while self.queued_bytes > MAX_BYTES:
            heaviest = max(self._bytes, key=self._bytes.__getitem__)
            self._shed_from(heaviest, self._sizes[heaviest])
        while self.queued > self.limit:
            self._shed_from(max(self._sizes, key=self._sizes.__getitem__), self.queued - self.limit)
        self._show()
        self._filled.set()

    def _shed_from(self, source: str, most: int) -> None:
        """Drop the source's oldest events, `most` of its oldest batch."""
        arrival, size, batch = self._queues[source].popleft()
        count = min(most, len(batch))
        self._leave_queue(source, arrival, size, batch, count)
        self._count_shed(source, count)

    def _take(self) -> EventBatch:
        """The oldest events of all sources: several small batches joined, or a part of a large one."""
        taken: list[EventBatch] = []
        room = DELIVERY
        while self.queued and len(taken) < DELIVERY_BATCHES:
            source = min(self._queues, key=lambda name: self._queues[name][0][0])
            if taken and DELIVERY - room + len(self._queues[source][0][2]) > JOINED:
                break
            arrival, size, batch = self._queues[source].popleft()
            count = min(room, len(batch))
            self._leave_queue(source, arrival, size, batch, count)
            taken.append(batch.take(slice(count)) if count < len(batch) else batch)
            room -= count
            self.delivered[source] += count
        _DELIVERED.labels(self.name).inc(DELIVERY - room)
        self._show()
        return concatenate(taken)

    def _leave_queue(self, source: str, arrival: int, size: int, batch: EventBatch, count: int) -> None:
        """The first `count` rows of the source's oldest batch go; what is left of it still holds all its texts."""
        self.queued -= count
        self._sizes[source] -= count
        if count < len(batch):
            self._queues[source].appendleft((arrival, size, batch.take(slice(count, None))))
            return
        self.queued_bytes -= size
        self._bytes[source] -= size
        if not self._queues[source]:
            del self._queues[source], self._sizes[source], self._bytes[source]

    def _show(self) -> None:
        _QUEUED.labels(self.name).set(self.queued)
        _BYTES.labels(self.name).set(self.queued_bytes)

    def _count_shed(self, source: str, count: int) -> None:
        self.shed[source] += count
        _SHED.labels(self.name, source).inc(count)


class Bus:
    """Publishes batches to every subscription. One event loop's: call it from that loop's thread only."""

    def __init__(self, limit_events: int) -> None:
        if limit_events < 1:
            raise ValueError("limit_events must be positive")
        self.limit = limit_events
        self._subscriptions: list[Subscription] = []
        self._name = FewNames(MAX_SOURCES)

    def publish(self, batch: EventBatch) -> None:
        """Hand a batch to every subscriber. Never waits and never refuses: a full queue sheds and counts."""
        self._publish(batch, self._subscriptions)

    def publish_history(self, batch: EventBatch) -> None:
        """The same with what is long over: only for subscribers who want history."""
        self._publish(batch, [subscription for subscription in self._subscriptions if subscription.history])

    def _publish(self, batch: EventBatch, subscriptions: Sequence[Subscription]) -> None:
        for name, part in _by_source(batch):
            source, size = self._name(name), part.size
            _PUBLISHED.labels(source).inc(len(part))
            for subscription in subscriptions:
                subscription._put(source, size, part)

    def subscribe(self, name: str, limit_events: int | None = None, history: bool = False) -> Subscription:
        """Everything published from now on, `limit_events` (the bus's own if None) queued at most.

        With `history` also what is imported: for who shows events, not for who acts upon them.
        A subscriber that only looks on (`events tail`) takes a small limit and thus a small share of memory.
        """
        subscription = Subscription(self, name, self.limit if limit_events is None else limit_events, history)
        self._subscriptions.append(subscription)
        return subscription

    @property
    def subscribers(self) -> tuple[str, ...]:
        """Names of the open subscriptions."""
        return tuple(subscription.name for subscription in self._subscriptions)

    def _leave(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)


def _by_source(batch: EventBatch) -> Iterator[tuple[str, EventBatch]]:
    """The batch, split by source where it has several (not if absurdly many); nothing for an empty one."""
    if len(batch.source.values) == 1 and len(batch):
        yield batch.source.values[0], batch
        return
    codes = np.unique(batch.source.codes)
    if len(codes) == 1:
        yield batch.source.values[int(codes[0])], batch
        return
    if len(codes) > MAX_SOURCES:
        yield OTHERS, batch
        return
    for code in codes:
        yield batch.source.values[int(code)], batch.take(batch.source.codes == code).compact()
