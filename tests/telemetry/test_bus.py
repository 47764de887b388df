import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import Bus, Closed, Event, EventBatch, Kind, Subscription, bus, concatenate


def events(source: str, count: int, first: int = 0) -> EventBatch:
    return EventBatch.of([Event(time=first + n + 1.0, kind=Kind.FLOW, source=source) for n in range(count)])


def times(batch: EventBatch) -> list[tuple[str, float]]:
    return [(event.source, event.time) for event in batch.events()]


async def taken(subscription: Subscription) -> EventBatch:
    """All that is queued."""
    parts = []
    while subscription.queued:
        parts.append(await subscription.next())
    return concatenate(parts)


async def test_a_subscriber_gets_what_is_published_from_then_on_in_order_as_one_batch() -> None:
    carrier = Bus(100)
    carrier.publish(events("a", 1))
    subscription = carrier.subscribe("reader")
    carrier.publish(events("a", 2))
    carrier.publish(events("b", 1))
    carrier.publish(events("a", 1, first=2))
    assert times(await subscription.next()) == [("a", 1.0), ("a", 2.0), ("b", 1.0), ("a", 3.0)]
    assert subscription.queued == 0


async def test_next_waits_for_the_first_events() -> None:
    carrier = Bus(100)
    subscription = carrier.subscribe("reader")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(subscription.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        carrier.publish(events("a", 1))
    assert len(waiting.result()) == 1


async def test_an_empty_batch_wakes_nobody() -> None:
    carrier = Bus(100)
    subscription = carrier.subscribe("reader")
    carrier.publish(events("a", 0))
    assert subscription.queued == 0


async def test_a_batch_of_several_sources_is_queued_by_source() -> None:
    carrier = Bus(2)
    subscription = carrier.subscribe("reader")
    carrier.publish(concatenate([events("a", 3), events("b", 1)]))
    assert subscription.shed == {"a": 2}
    assert times(await subscription.next()) == [("a", 3.0), ("b", 1.0)]


async def test_a_full_queue_sheds_the_oldest_of_the_noisiest_source() -> None:
    carrier = Bus(10)
    subscription = carrier.subscribe("reader")
    carrier.publish(events("quiet", 2))
    carrier.publish(events("noisy", 8))
    carrier.publish(events("noisy", 5, first=8))
    assert subscription.shed == {"noisy": 5}
    kept = times(await subscription.next())
    assert [time for source, time in kept if source == "quiet"] == [1.0, 2.0]
    assert [time for source, time in kept if source == "noisy"] == [6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0]


async def test_a_batch_larger_than_the_queue_keeps_its_newest() -> None:
    carrier = Bus(3)
    subscription = carrier.subscribe("reader")
    carrier.publish(events("a", 10))
    assert times(await subscription.next()) == [("a", 8.0), ("a", 9.0), ("a", 10.0)]


async def test_one_subscriber_that_does_not_read_costs_another_nothing() -> None:
    carrier = Bus(1000)
    tail, reader = carrier.subscribe("tail", limit_events=5), carrier.subscribe("reader")
    for n in range(100):
        carrier.publish(events("a", 5, first=5 * n))
    assert tail.queued == 5
    assert tail.shed == {"a": 495}
    assert not reader.shed
    assert len(await taken(reader)) == 500


async def test_a_delivery_is_bounded_in_events_and_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "DELIVERY", 4)
    monkeypatch.setattr(bus, "DELIVERY_BATCHES", 3)
    carrier = Bus(100)
    subscription = carrier.subscribe("reader")
    carrier.publish(events("a", 10))
    assert [len(await subscription.next()) for _ in range(3)] == [4, 4, 2]
    for n in range(4):
        carrier.publish(events("a", 1, first=n))
    assert [len(await subscription.next()) for _ in range(2)] == [3, 1]


def long_ones(source: str, count: int, size: int) -> EventBatch:
    rows = [Event(time=1.0, kind=Kind.FLOW, source=source, resource=f"{n:0{size}}") for n in range(count)]
    return EventBatch.of(rows)


async def test_a_queue_is_bounded_in_bytes_too_and_sheds_whom_it_holds_most_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "MAX_BYTES", 1_000_000)
    carrier = Bus(10_000)
    subscription = carrier.subscribe("reader")
    carrier.publish(events("quiet", 5))
    for _ in range(20):
        carrier.publish(long_ones("noisy", 10, 10_000))
        assert subscription.queued_bytes <= 1_000_000
    assert set(subscription.shed) == {"noisy"}
    got = await taken(subscription)
    assert Counter(got.source) == {"quiet": 5, "noisy": 200 - subscription.shed["noisy"]}
    assert 80 <= 200 - subscription.shed["noisy"] < 100
    assert subscription.queued_bytes == 0
    carrier.publish(long_ones("huge", 10, 200_000))
    assert subscription.shed["huge"] == 10


async def test_a_source_is_charged_for_its_own_texts_alone() -> None:
    carrier = Bus(10_000)
    subscription = carrier.subscribe("reader")
    carrier.publish(concatenate([long_ones("long", 1, 100_000), *(events(f"s{n}", 1) for n in range(50))]))
    assert 100_000 < subscription.queued_bytes < 100_000 + 51 * 10_000


async def test_history_goes_to_who_asked_for_it() -> None:
    carrier = Bus(100)
    acts, shows = carrier.subscribe("detectors"), carrier.subscribe("tail", history=True)
    carrier.publish_history(events("import:eve", 2))
    carrier.publish(events("edge", 1))
    assert times(await acts.next()) == [("edge", 1.0)]
    assert times(await shows.next()) == [("import:eve", 1.0), ("import:eve", 2.0), ("edge", 1.0)]


async def test_closing_releases_the_queue_and_counts_what_was_in_it() -> None:
    carrier = Bus(100)
    with carrier.subscribe("reader") as subscription:
        carrier.publish(events("a", 3))
        assert carrier.subscribers == ("reader",)
    carrier.publish(events("a", 3))
    subscription.close()
    assert not carrier.subscribers
    assert subscription.queued == 0
    assert subscription.shed == {"a": 3}
    with pytest.raises(Closed):
        await subscription.next()


async def test_closing_ends_an_iteration_that_waits() -> None:
    carrier = Bus(100)
    subscription = carrier.subscribe("reader")

    async def read() -> int:
        return sum([len(batch) async for batch in subscription])

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        carrier.publish(events("a", 2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        subscription.close()
    assert reading.result() == 2


async def test_sources_beyond_the_limit_share_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "MAX_SOURCES", 2)
    carrier = Bus(100)
    subscription = carrier.subscribe("reader")
    for source in ("a", "b", "c", "d"):
        carrier.publish(events(source, 1))
    carrier.publish(concatenate([events(source, 1) for source in "abcd"]))
    assert subscription.published == {"a": 1, "b": 1, "(others)": 6}
    assert len(await subscription.next()) == 8


def test_a_bus_that_may_hold_nothing_is_no_bus() -> None:
    with pytest.raises(ValueError, match="positive"):
        Bus(0)


publishing = st.tuples(st.sampled_from("abcd"), st.integers(0, 30))
steps = st.lists(st.one_of(publishing, st.just("take")), max_size=40)


@given(steps, st.integers(1, 50))
def test_every_event_is_delivered_shed_or_queued_and_never_twice(plan: list[object], limit: int) -> None:
    """For each source, published = delivered + shed + queued, at every step; what comes keeps its source's order."""

    async def run() -> None:
        carrier = Bus(limit)
        subscription = carrier.subscribe("reader")
        published: Counter[str] = Counter()
        got: list[tuple[str, float]] = []
        for step in plan:
            if isinstance(step, tuple):
                source, count = step
                carrier.publish(events(source, count, first=published[source]))
                published[source] += count
            elif subscription.queued:
                got += times(await subscription.next())
            assert subscription.queued <= limit
            lost = published - subscription.shed - subscription.delivered
            assert lost.total() == subscription.queued
        got += times(await taken(subscription))
        for source in "abcd":
            own = [time for name, time in got if name == source]
            assert own == sorted(set(own))
            assert published[source] == len(own) + subscription.shed[source]

    asyncio.run(run())


@given(
    flood=st.lists(st.integers(1, 200), min_size=1, max_size=30),
    quiet=st.lists(st.tuples(st.integers(0, 29), st.sampled_from("xyz")), max_size=30),
    limit=st.integers(40, 120),
)
def test_a_flood_cannot_push_out_a_source_within_its_share(
    flood: list[int], quiet: list[tuple[int, str]], limit: int
) -> None:
    """A source that queues at most limit / sources events loses none, however much another one sends."""
    carrier = Bus(limit)
    subscription = carrier.subscribe("reader")
    sent: Counter[str] = Counter()
    for n, count in enumerate(flood):
        for _, source in [one for one in quiet if one[0] == n]:
            if sent[source] < limit // 4:
                carrier.publish(events(source, 1))
                sent[source] += 1
        carrier.publish(events("flood", count))
    assert set(subscription.shed) <= {"flood"}
