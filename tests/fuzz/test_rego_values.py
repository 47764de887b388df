"""Rego values: order and equality hold for any values, and keys agree with them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy.rego.builtins.documents import marshal, unmarshal
from policy.rego.builtins.regexes import match
from policy.rego.builtins.sprintf import sprintf
from policy.rego.values import UNDEFINED, RegoSet, compare, equal, key, order, ordered, to_python, unkey

NUMBERS = st.integers(-3, 3) | st.floats(-3, 3, allow_nan=False).map(lambda number: round(number, 1))
SCALARS = st.none() | st.booleans() | NUMBERS | st.text("ab", max_size=2)


def _composites(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.lists(st.tuples(inner, inner), max_size=3)
    return (
        st.lists(inner, max_size=3)
        | pairs.map(lambda items: {key(at): value for at, value in items})
        | st.lists(inner, max_size=3).map(RegoSet)
    )


VALUES = st.recursive(SCALARS, _composites, max_leaves=8)
PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES, VALUES)
def test_order_is_total(a: Any, b: Any, c: Any) -> None:
    """Antisymmetric, transitive, and zero exactly where the two are equal."""
    assert (compare(a, b) > 0) == (compare(b, a) < 0)
    assert (compare(a, b) == 0) == equal(a, b) == equal(b, a)
    low, middle, high = sorted([a, b, c], key=order)
    assert compare(low, middle) <= 0
    assert compare(middle, high) <= 0
    assert compare(low, high) <= 0


@given(VALUES, VALUES)
def test_keys_agree_with_equality(a: Any, b: Any) -> None:
    assert (key(a) == key(b)) == equal(a, b)
    if equal(a, b):
        assert hash(key(a)) == hash(key(b))
    assert equal(unkey(key(a)), a)


@given(st.lists(VALUES, max_size=6))
def test_sets_hold_each_value_once_in_order(values: list[Any]) -> None:
    held = list(RegoSet(values))
    assert all(compare(one, other) < 0 for one, other in pairwise(held))
    assert all(any(equal(value, one) for one in held) for value in values)
    assert all(compare(one, other) <= 0 for one, other in pairwise(ordered(values)))


@given(JSON)
def test_json_comes_back(value: Any) -> None:
    assert equal(unmarshal(marshal(value)), value)


@given(st.binary())
def test_unmarshal_takes_any_text(data: bytes) -> None:
    """A value or undefined, never an exception, whatever the bytes."""
    text = data.decode(errors="replace")
    value = unmarshal(text)
    assert value is UNDEFINED or to_python(value) is not UNDEFINED


@given(st.text(), st.text())
def test_regex_takes_any_text(pattern: str, text: str) -> None:
    assert match(pattern, text) in (True, False) or match(pattern, text) is UNDEFINED


@given(st.text("%dsvxq+-0 .19a", max_size=12), st.lists(VALUES, max_size=3))
def test_sprintf_takes_any_template(template: str, values: list[Any]) -> None:
    assert type(sprintf(template, values)) is str or sprintf(template, values) is UNDEFINED
