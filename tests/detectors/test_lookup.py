"""Which slots hold a key, while keys come and go."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.entities.lookup import Lookup

CAPACITY = 64
changes = st.lists(st.lists(st.tuples(st.integers(0, CAPACITY - 1), st.integers(0, 9)), max_size=6), max_size=20)


@given(changes, st.lists(st.integers(1, 9), min_size=1))
def test_it_finds_what_a_search_of_all_slots_finds(steps: list[list[tuple[int, int]]], asked: list[int]) -> None:
    keys = np.zeros(CAPACITY, np.uint64)
    lookup = Lookup(keys)
    for step in steps:
        slots = [slot for slot, _ in dict(step).items()]
        keys[slots] = [key for _, key in dict(step).items()]
        lookup.note(np.array(slots, np.int32))
        wanted = np.array(asked, np.uint64)
        expected = [np.flatnonzero(keys == key).tolist() for key in wanted]
        assert [slots.tolist() for slots in lookup.of(wanted)] == expected
