"""Nonces without a memory: fresh in their window and the next one, and nobody else's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.nonces import Nonces

KEY = bytes(range(32))
NONCES = Nonces(KEY, 300.0)
START = 1_800_000_000.0  # where a window begins


@pytest.mark.parametrize(
    ("later", "fresh"), [(0.0, True), (299.9, True), (300.0, True), (599.9, True), (600.0, False), (-0.1, False)]
)
def test_a_nonce_is_fresh_in_its_window_and_in_the_next(later: float, fresh: bool) -> None:
    assert NONCES.fresh(NONCES.issue(START), START + later) is fresh


@given(st.floats(0, 1e10), st.floats(0, 2000))
def test_it_is_fresh_for_one_window_at_least_and_for_two_at_most(now: float, later: float) -> None:
    fresh = NONCES.fresh(NONCES.issue(now), now + later)
    assert fresh if later < 299.999 else not (fresh and later > 600.001)


@given(st.floats(0, 1e10))
def test_a_nonce_fits_into_a_header_and_into_json(now: float) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{24}", NONCES.issue(now))


def test_each_window_and_each_key_has_its_own() -> None:
    issued = {Nonces(key, 300.0).issue(START + 300 * n) for key in (KEY, KEY[::-1]) for n in range(100)}
    assert len(issued) == 200


def test_gateways_with_one_key_accept_each_others() -> None:
    assert Nonces(KEY, 300.0).fresh(NONCES.issue(START), START)
    assert not Nonces(KEY[::-1], 300.0).fresh(NONCES.issue(START), START)


@given(
    st.text()
    | st.just(NONCES.issue(START)).flatmap(lambda nonce: st.sampled_from([nonce[:-1], nonce + "=", nonce[1:]]))
)
def test_nothing_else_is_fresh(text: str) -> None:
    assert not NONCES.fresh(text, START)


def test_text_that_is_no_unicode_is_not_fresh() -> None:
    assert not NONCES.fresh("\udc80" * 24, START)
