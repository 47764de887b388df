"""The parts that features are made of: hashes, tables of subjects, bitmaps of what was seen."""

from __future__ import annotations

import math
from operator import itemgetter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.arrays import CPU
from detectors.features.damped import Damped, take_turn
from detectors.features.groups import group
from detectors.features.hashing import hash_texts
from detectors.features.outcomes import flow_failed, request_outcome
from detectors.features.seen import GENERATION, KEPT, Seen
from detectors.features.table import EVICTED, Table
from telemetry import Event, EventBatch, Kind


def test_the_same_account_has_the_same_identifier_on_every_path() -> None:
    whole, identifier = hash_texts(
        ("/accounts/1001", "/accounts/1001/statements", "/streams/accounts/1001", "/accounts/1002", "/payments")
    )
    assert len(set(whole.tolist())) == 5
    assert len(set(identifier.tolist())) == 3
    assert identifier[0] == identifier[1] == identifier[2]
    assert identifier[4] == whole[4]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=20))
def test_a_hash_depends_on_nothing_but_its_text(texts: list[str]) -> None:
    together = hash_texts(texts)[0]
    assert [hash_texts((text,))[0][0] for text in texts] == together.tolist()
    assert len(set(together.tolist())) == len(set(texts))


def admit(table: Table, *names: int, time: float = 0.0) -> list[int]:
    slots, _ = table.admit(np.array(names, np.uint64))
    table.last[slots] = time
    result: list[int] = slots.tolist()
    return result


def test_a_full_table_forgets_who_was_idle_longest_and_counts_it() -> None:
    table, before = Table(3, CPU), EVICTED._value.get()
    for time, name in enumerate((1, 2, 3, 1)):
        admit(table, name, time=time)
    assert table.admit(np.array([4], np.uint64))[1].tolist() == [0]
    assert (table.find(np.array([1, 2, 3, 4], np.uint64)) >= 0).tolist() == [True, False, True, True]
    assert EVICTED._value.get() == before + 1
    assert len(table) == 3


def test_who_did_much_or_much_that_went_wrong_outlives_strangers() -> None:
    table = Table(4, CPU)
    busy, suspect = admit(table, 1, 2, time=0.0)
    table.events[busy], table.adverse[suspect] = 1000, 3
    for stranger in range(3, 60):
        admit(table, stranger, time=stranger)
    assert (table.find(np.array([1, 2], np.uint64)) >= 0).all()


@given(st.lists(st.lists(st.integers(1, 10), min_size=1, max_size=5, unique=True), max_size=30))
def test_slots_are_never_shared_and_never_more_than_there_are(turns: list[list[int]]) -> None:
    table = Table(5, CPU)
    for time, turn in enumerate(turns):
        slots = admit(table, *turn, time=time)
        assert len(set(slots)) == len(turn)
        assert table.find(np.array(turn, np.uint64)).tolist() == slots
        held = table.find(np.arange(1, 11, dtype=np.uint64))
        assert len(table) == (held >= 0).sum() == len(set(held[held >= 0].tolist())) <= 5


def test_a_table_comes_back_from_its_state() -> None:
    table, again = Table(64, CPU), Table(64, CPU)
    hashes = np.random.default_rng(1).integers(1, 2**63, 50).astype(np.uint64)
    slots, _ = table.admit(hashes)
    table.last[slots] = np.arange(50)
    assert again.restore(table.state(table.held(), {}), {}) == len(again) == 50
    assert again.find(hashes).tolist() == list(range(49, -1, -1))  # the most interesting first
    assert sorted(again.admit(hashes[:14] + np.uint64(1))[0].tolist()) == list(range(50, 64))


def test_a_smaller_table_takes_over_the_most_interesting() -> None:
    table, smaller = Table(64, CPU), Table(8, CPU)
    for name in range(1, 51):
        admit(table, name, time=name)
    assert smaller.restore(table.state(table.held(), {}), {}) == 8
    assert (smaller.find(np.arange(1, 51, dtype=np.uint64)) >= 0).tolist() == [False] * 42 + [True] * 8


def mark(seen: Seen, things: list[int], time: float, subject: int = 1) -> list[bool]:
    count = len(things)
    result: list[bool] = seen.mark(
        np.full(count, subject, np.uint64), np.array(things, np.uint64), np.full(count, time)
    ).tolist()
    return result


def test_only_the_first_touch_is_novel() -> None:
    seen = Seen(64, CPU)
    assert mark(seen, [1, 1, 2], 10.0) == [True, False, True]
    assert mark(seen, [2, 3], 11.0) == [False, True]
    assert mark(seen, [1], 11.0, subject=2) == [True]


def test_what_was_not_touched_for_days_is_novel_again() -> None:
    seen = Seen(64, CPU)
    mark(seen, [1, 2], 10.0)
    assert mark(seen, [1], 10.0 + (KEPT - 1) * GENERATION) == [False]
    assert mark(seen, [1, 2], 10.0 + KEPT * GENERATION) == [False, True]
    for generations in range(240, 260):  # the numbers of generations come again
        assert mark(seen, [generations], 10.0 + generations * GENERATION) == [True]
    assert mark(seen, [1], 10.0 + 300 * GENERATION) == [True]


def test_few_new_things_are_taken_for_known() -> None:
    seen, rng = Seen(1000, CPU), np.random.default_rng(1)
    pairs = rng.integers(1, 2**63, (2, 12_000)).astype(np.uint64)  # twelve things each
    novel = [seen.mark(pairs[0, rows], pairs[1, rows], np.full(100, 9.0)) for rows in np.split(np.arange(12_000), 120)]
    assert np.concatenate(novel).mean() > 0.95


def test_outcomes_of_http_grpc_and_sensors() -> None:
    statuses = [200, 401, 403, 404, 503, 0, 7, 16, 14]
    batch = EventBatch.of([Event(time=0, kind=Kind.REQUEST, source="", status=status) for status in statuses])
    told = request_outcome(batch)
    assert [statuses[row] for row in np.flatnonzero(told.refused)] == [403, 7]
    assert [statuses[row] for row in np.flatnonzero(told.unauthenticated)] == [401, 16]
    assert [statuses[row] for row in np.flatnonzero(told.failed)] == [404, 503, 14]
    states = ["SF", "S0", "REJ", "closed timeout", "new timeout", "established shutdown", ""]
    flows = EventBatch.of([Event(time=0, kind=Kind.FLOW, source="", outcome=state) for state in states])
    assert [states[row] for row in np.flatnonzero(flow_failed(flows))] == ["S0", "REJ", "new timeout"]


def test_suricatas_closed_flow_failed_where_too_little_came_back_for_a_word() -> None:
    back = [0, 54, 60, 120, 162, 5000]
    events = [
        Event(time=0, kind=Kind.FLOW, source="", outcome="closed timeout", bytes_in=120, bytes_out=size)
        for size in back
    ]
    assert [back[row] for row in np.flatnonzero(flow_failed(EventBatch.of(events)))] == [0, 54, 60, 120]
    untold = EventBatch.of([Event(time=0, kind=Kind.FLOW, source="", outcome="closed timeout")])
    assert not flow_failed(untold).any()


@settings(max_examples=50, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.floats(0, 200), st.floats(0, 9)), min_size=1, max_size=30),
        min_size=1,
        max_size=6,
    )
)
def test_sums_are_of_all_rows_by_their_age_however_late_they_come(
    batches: list[list[tuple[int, float, float]]],
) -> None:
    scales = (10.0, 600.0)
    table, sums = Table(16, CPU), Damped(16, 2, scales, CPU)
    for batch in batches:
        who, times, values = (np.array(column) for column in zip(*sorted(batch, key=itemgetter(1)), strict=True))
        groups = group(who, np.arange(1, 7, dtype=np.uint64), CPU)
        turn = take_turn(table, groups, times, CPU)
        sums.add(turn, [np.ones(len(who), np.bool_), values[turn.order]])
    every = [row for batch in batches for row in batch]
    for subject in {who for who, _, _ in every}:
        mine = [(time, value) for who, time, value in every if who == subject]
        latest = max(time for time, _ in mine)
        weights = [[math.exp((time - latest) / scale) for time, _ in mine] for scale in scales]
        wanted = [[sum(some), float(np.dot(some, [value for _, value in mine]))] for some in weights]
        slot = int(table.find(np.array([subject + 1], np.uint64))[0])
        np.testing.assert_allclose(sums.sums[slot], wanted, rtol=1e-4, atol=1e-4)


def test_sums_do_not_depend_on_how_many_rows_come_at_once() -> None:
    rng, scales = np.random.default_rng(5), (1.0, 60.0)
    who, times = rng.integers(0, 500, 20_000), np.sort(rng.uniform(0, 100, 20_000))
    values = np.where(rng.random(20_000) < 0.1, rng.random(20_000), 0.0)
    found = []
    for cuts in (1, 2, 10, 100):
        table, sums = Table(1024, CPU), Damped(1024, 3, scales, CPU)
        for rows in np.split(np.arange(20_000), cuts):
            groups = group(who[rows], np.arange(1, 501, dtype=np.uint64), CPU)
            turn = take_turn(table, groups, times[rows], CPU)
            own = values[rows][turn.order]
            sums.add(turn, [np.ones(len(rows), np.bool_), own > 0, own])
        found.append(sums.sums[table.find(np.arange(1, 501, dtype=np.uint64))])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-5)
