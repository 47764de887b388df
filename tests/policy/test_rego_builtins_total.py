"""Builtins are total: whatever they are given, they answer with a value or undefined, and leave it as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.rego import numerals
from policy.rego.builtins import ARITIES, BUILTINS, IMPURE
from policy.rego.values import UNDEFINED, Key, RegoSet, equal, key

FAMILIES = (
    *("array.", "base64", "glob.", "graph.", "hex.", "net.", "object.", "rand.", "regex.", "semver.", "strings."),
    *("time.", "uri.", "urlquery.", "uuid.", "yaml."),
)
ALONE = (
    *("concat", "contains", "endswith", "indexof", "indexof_n", "lower", "re_match", "replace", "split", "startswith"),
    *("substring", "trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper", "walk"),
)
NAMES = sorted(name for name in BUILTINS if name.startswith(FAMILIES) or name in ALONE)
LIKELY = [
    *("", "a", ".", "a*", "(a)|b", "(", "[a-z]", "{a,b}", "[", "10.0.0.0/8", "::ffff:1.2.3.4/100", "fe80::1%a/64"),
    *("Europe/Berlin", "2006-01-02T15:04:05Z07:00", "RFC1123", "2024-02-29T00:00:00Z", "1d1h", "1.2.3-a.1", "v1.2.3"),
    *("http://u:p@[::1]:80/a%20?q=1#f", "a=b&c=%zz", "YWI=", "6162", "a: [b, *c]", "- &a [1]\n- *a", "&", "! x", "%"),
    *(
        "{{.a}}",
        "{{range $i, $e := .}}{{$e}}{{end}}",
        "{{",
        '{{printf "%d" 1}}',
        "00000000-0000-1000-8000-000000000000",
    ),
]
TEXTS = st.one_of(st.sampled_from(LIKELY), st.text(st.characters(codec=None), max_size=12))
NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 2**31, 2**63 - 1, -(2**63), 2**63, 10**30, 1.0, 1.5, -0.0, 1e-300]),
    st.integers(),
    st.floats(-1e15, 1e15).map(numerals.from_python),
    st.sampled_from(["1e2", "2.50", "1e400", "-0", "0.1234567890123456789012", "1.000"]).map(numerals.number),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(RegoSet),
        st.dictionaries(st.one_of(TEXTS, inner.map(key)), inner, max_size=4),
    ),
    max_leaves=12,
)


def is_value(value: Any) -> bool:
    if type(value) is list:
        return all(map(is_value, value))
    if type(value) is RegoSet:
        return all(is_key(item) for item in value.keys)
    if type(value) is dict:
        return all(is_key(item) and is_value(held) for item, held in value.items())
    return value is None or type(value) in (bool, int, float, str, numerals.Numeral)


def is_key(item: Any) -> bool:
    return is_value(item.value) if type(item) is Key else type(item) in (type(None), int, float, str)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, list[Any]]:
    name = draw(st.sampled_from(NAMES))
    kind = draw(st.sampled_from([VALUES, TEXTS, SCALARS]))
    return name, [draw(st.one_of(kind, VALUES)) for _ in range(ARITIES[name])]


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=800)
@given(call=calls())
def test_no_argument_makes_a_builtin_raise(call: tuple[str, list[Any]]) -> None:
    name, args = call
    before = copy.deepcopy(args)
    memory: list[Any] = [1_700_000_000_000_000_000, None, None]
    answer = BUILTINS[name](*([memory] if name in IMPURE else []), *args)
    assert answer is UNDEFINED or is_value(answer)
    assert all(map(equal, args, before))
