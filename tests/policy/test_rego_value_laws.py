"""Rego values: one order, one equality, one key for what is the same."""

from __future__ import annotations

import subprocess
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy.rego.json_text import decode, encode
from policy.rego.numerals import Numeral, number
from policy.rego.rego_text import literal
from policy.rego.values import (
    MAX_DEPTH,
    UNDEFINED,
    RegoSet,
    compare,
    dot,
    equal,
    from_python,
    key,
    ordered,
    scan,
    to_python,
    unkey,
)
from tests.policy.real_opa import opa_binary

ONES = ("1", "1.0", "1.00", "1e0", "10e-1")
numbers = st.one_of(
    st.sampled_from(
        [*ONES, "0", "-0", "0.1", "0.10", "1e22", "10000000000000000000000", "1e400", "10e399", "0.5e1"]
    ).map(number),
    st.integers(),
    st.floats(-1e15, 1e15),
    st.decimals(allow_nan=False, allow_infinity=False, places=20).map(str).map(number),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=3))
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(RegoSet),
        st.lists(st.tuples(inner, inner), max_size=3).map(lambda held: {key(at): one for at, one in held}),
    ),
    max_leaves=8,
)


@given(values, values)
@example(1, number("1.00"))
@example(number("0.10"), 0.1)
@example(10**23, number("1e23"))
@example(True, 1)
@example([1], [number("1e0")])
def test_equality_order_and_keys_agree(a: Any, b: Any) -> None:
    same = equal(a, b)
    assert same == equal(b, a) == (compare(a, b) == 0) == (key(a) == key(b)) == (key(b) == key(a))
    assert not same or hash(key(a)) == hash(key(b))
    assert same == (len(RegoSet([a, b])) == 1)
    assert (compare(a, b) > 0) == (compare(b, a) < 0)


@given(values, values, values)
def test_the_order_is_total(a: Any, b: Any, c: Any) -> None:
    low, middle, high = ordered([a, b, c])
    assert compare(low, middle) <= 0
    assert compare(middle, high) <= 0
    assert compare(low, high) <= 0


@given(values)
def test_a_value_is_itself(value: Any) -> None:
    assert equal(value, value)
    assert unkey(key(value)) is value


@given(st.lists(values, max_size=6))
def test_a_set_keeps_the_first_of_equals_and_comes_in_order(held: list[Any]) -> None:
    found = list(RegoSet(held))
    assert all(compare(a, b) < 0 for a, b in pairwise(found))
    firsts = [next(one for one in held if equal(one, element)) for element in found]
    assert [literal(one) for one in firsts] == [literal(one) for one in found]


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=6))
def test_objects_come_in_the_order_of_utf8(held: dict[str, int]) -> None:
    assert [name for name, _ in scan(held)] == sorted(held, key=lambda name: name.encode("utf-8", "surrogatepass"))


def test_as_opa_orders_and_compares(tmp_path: Path) -> None:
    held: list[Any] = [
        *map(number, [*ONES, "0.1", "0.10", "-0", "1e22", "1e400", "2.50"]),
        None,
        True,
        False,
        "",
        "a",
        "é",
        "😀",
        "\uffff",
    ]
    held += [
        [],
        [1],
        [number("1e0"), 2],
        RegoSet([1, number("1.0"), "a"]),
        RegoSet(),
        {},
        {"a": 1},
        {key(True): [], "b": {}},
    ]
    module = tmp_path / "values.rego"
    module.write_text(
        f"package v\nvals := {literal(held)}\nless := [[i, j] | some i, a in vals; some j, b in vals; a < b]"
    )
    command = [str(opa_binary()), "eval", "--data", str(module), "data.v.less"]
    found = decode(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    less = [[i, j] for i, a in enumerate(held) for j, b in enumerate(held) if compare(a, b) < 0]
    assert found["result"][0]["expressions"][0]["value"] == less


@pytest.mark.parametrize(
    ("at", "found"),
    [
        (1, "b"),
        (1.0, "b"),
        (number("1.00"), "b"),
        (number("1e0"), UNDEFINED),
        (-1, UNDEFINED),
        (True, UNDEFINED),
        ("1", UNDEFINED),
    ],
)
def test_places_in_an_array(at: Any, found: Any) -> None:
    assert dot(["a", "b"], at) is found or dot(["a", "b"], at) == found


def test_python_in_and_out() -> None:
    given_value = {"a": (1, 2.5, None, True, Decimal("0.12345678901234567890"), Decimal("2.50"), 1e300)}
    made = from_python(given_value)
    assert encode(made) == '{"a":[1,2.5,null,true,0.12345678901234567890,2.50,1e+300]}'
    assert to_python(made) == {"a": [1, 2.5, None, True, Decimal("0.12345678901234567890"), 2.5, 1e300]}
    assert to_python({key(1.5): RegoSet(["b", "a"]), key(None): Numeral("-0")}) == {"1.5": ["a", "b"], "null": 0}


@pytest.mark.parametrize(
    "value", [{1: 2}, {"a": {3}}, float("nan"), float("inf"), Decimal("NaN"), b"", object(), [10**5000]]
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        from_python(value)


def test_what_is_too_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert equal(from_python(value), value)
    with pytest.raises(TypeError):
        from_python([value])
