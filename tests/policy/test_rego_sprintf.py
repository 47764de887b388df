"""`sprintf`: Go's verbs, flags, widths and complaints, held against the real OPA."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.rego.builtins import BUILTINS
from policy.rego.numerals import number
from policy.rego.rego_text import literal, quoted
from policy.rego.values import UNDEFINED, RegoSet
from tests.policy.exact_answers import differences

NUMBERS = (
    *(
        "0",
        "7",
        "-12",
        "255",
        "1114112",
        "55296",
        "-0",
        "1.0",
        "2.50",
        "-0.5",
        "1e2",
        "1234567.5",
        "1e-7",
        "1e21",
        "1e400",
    ),
    *("0.1", "123456789.125", "5e-324", "1.7976931348623157e308", "9223372036854775807", "-9223372036854775808"),
    *("9223372036854775808", "-340282366920938463463374607431768211456", "12.0", "1E5", "0.000001", "100000.0"),
)
TEXTS = ("hello", "", "é\u0001\t\"'`\\ü😀", "\u200b\u00ad\u007f", "`", "a b")
OTHERS = ('[1, 2.50, "a", {"b": null}]', '{"a": [1.50, 2e3, true], "é": "x"}', "true", "null", "[]", "{}")
ENDS = ("", "", "", "%", "%-", "%5", "%.", "%5.", "%[1]", "%[", "%99999999d")


def argument() -> str:
    return random.choice((*NUMBERS, *map(json.dumps, TEXTS), *OTHERS))


def verb() -> str:
    flags = "".join(random.sample("-+# 0", random.choice((0, 0, 1, 2, 3))))
    width = random.choice(("", "", "", "5", "10", "20", "*", "[1]", "[2]*", "[3]5", "007"))
    precision = random.choice(("", "", "", ".", ".0", ".3", ".10", ".*", ".[1]*", ".[2]3", ".25"))
    index = random.choice(("", "", "", "", "[1]", "[2]", "[5]", "[x]", "[", "[]"))
    return f"%{flags}{width}{precision}{index}{random.choice('vvvvdsqtfFgGeExXbBoOcUT%z!é')}"


def test_as_opa_prints(tmp_path: Path) -> None:
    calls = []
    for _ in range(5000):
        template = "".join(random.choice("aé ") + verb() for _ in range(random.randint(1, 3))) + random.choice(ENDS)
        arguments = ",".join(argument() for _ in range(random.randint(0, 3)))
        calls.append(f"[{json.dumps(template)}, [{arguments}]]")
    assert differences({"sprintf": calls}, tmp_path) == []


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("%d of %s", [3, "four"], "3 of four"),
        ("%v", [number("1e2")], "100"),
        ("%v", [[number("1e2"), number("2.50")]], "[1e2, 2.50]"),
        ("%d", [1.0], "%!d(float64=1)"),
        ("%t", [True], "%!t(string=true)"),
        ("%v %v", [RegoSet(), RegoSet([2, 1])], "set() {1, 2}"),
        ("%d", [], "%!d(MISSING)"),
        ("x", [1, "a"], "x%!(EXTRA int64=1, string=a)"),
        ("%08.3f|%+d|%x|%#o", [3.14159, 5, "hi", 8], "0003.142|+5|6869|010"),
        ("%[2]v %[1]v", [1, 2], "2 1"),
        ("100%", [], "100%!(NOVERB)"),
    ],
)
def test_examples(template: str, values: list[Any], text: str) -> None:
    assert BUILTINS["sprintf"](template, values) == text


@given(
    st.text(max_size=20),
    st.lists(st.one_of(st.integers(), st.floats(-1e9, 1e9), st.text(max_size=3), st.none()), max_size=3),
)
def test_any_template_has_an_answer(template: str, values: list[Any]) -> None:
    assert BUILTINS["sprintf"](template, values) is not UNDEFINED


@pytest.mark.parametrize(
    ("template", "values"),
    [("%1000000d" * 20, [1] * 20), ("%v" * 20, [["x" * 1_000_000]] * 20), (1, []), ("%d", 1), ("%d", RegoSet())],
)
def test_what_has_no_answer(template: Any, values: Any) -> None:
    assert BUILTINS["sprintf"](template, values) is UNDEFINED


def test_text_in_quotes() -> None:
    assert quoted('a"\\\n\x00\x7f\u200b\U000e0001é') == r'"a\"\\\n\x00\x7f\u200b\U000e0001é"'
    assert quoted("é\udcff", ascii_only=True) == r'"\u00e9\xff"'
    assert literal({"a": [1, RegoSet(["b"]), None, True]}) == '{"a": [1, {"b"}, null, true]}'
