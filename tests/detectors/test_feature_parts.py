"""The parts that features are made of: hashes, tables of subjects, bitmaps of what was seen."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrays import CPU
from detectors.features.hashing import hash_rows, hash_texts
from detectors.features.outcomes import flow_failed, request_outcome
from detectors.features.seen import GENERATION, Seen
from detectors.features.subjects import EVICTED, Key, Subjects
from telemetry import Event, EventBatch, Kind, Words


def keys(*names: str) -> list[Key]:
    return [("principal", name) for name in names]


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


def test_a_long_table_is_read_where_rows_point() -> None:
    words = Words(np.array([7, 3], np.int32), tuple(f"/accounts/{n}" for n in range(1000)))
    assert hash_rows(words)[0].tolist() == hash_texts(("/accounts/7", "/accounts/3"))[0].tolist()


def test_a_full_table_forgets_who_was_idle_longest_and_counts_it() -> None:
    table, before = Subjects(3), EVICTED._value.get()
    for name in ("a", "b", "c", "a"):
        table.admit(keys(name))
    slots, fresh = table.admit(keys("d"))
    assert slots.tolist() == fresh.tolist()
    assert (table.find(keys("a", "b", "c", "d")) >= 0).tolist() == [True, False, True, True]
    assert EVICTED._value.get() == before + 1
    assert len(table) == 3


@given(st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=5, unique=True), max_size=30))
def test_slots_are_never_shared_and_never_more_than_there_are(turns: list[list[str]]) -> None:
    table = Subjects(5)
    for turn in turns:
        slots, _ = table.admit(keys(*turn))
        assert len(set(slots.tolist())) == len(turn)
        assert table.find(keys(*turn)).tolist() == slots.tolist()
        held = table.find(keys(*"abcdefghij"))
        assert len(table) == (held >= 0).sum() == len(set(held[held >= 0].tolist())) <= 5


def mark(seen: Seen, things: list[int], time: float, slot: int = 0) -> list[bool]:
    count = len(things)
    result: list[bool] = seen.mark(np.full(count, slot), np.array(things, np.uint64), np.full(count, time)).tolist()
    return result


def test_only_the_first_touch_is_novel() -> None:
    seen = Seen(2, CPU)
    assert mark(seen, [1, 1, 2], 10.0) == [True, False, True]
    assert mark(seen, [2, 3], 11.0) == [False, True]
    assert mark(seen, [1], 11.0, slot=1) == [True]
    assert seen.distinct(np.array([0]))[0].round() == 3


def test_what_was_not_touched_for_two_generations_is_novel_again() -> None:
    seen = Seen(1, CPU)
    mark(seen, [1, 2], 10.0)
    assert mark(seen, [1], 10.0 + GENERATION) == [False]
    assert mark(seen, [1, 2], 10.0 + 2 * GENERATION) == [False, True]
    assert mark(seen, [1], 10.0 + 9 * GENERATION) == [True]


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
