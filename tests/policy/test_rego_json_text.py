"""JSON texts: nothing is lost, what is odd is read as Go reads it or refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.rego.json_text import decode, encode, valid
from policy.rego.numerals import number
from policy.rego.values import MAX_DEPTH, RegoSet, equal, key
from tests.policy.exact_answers import differences

numbers = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda held: abs(held.adjusted()) < 30_000).map(str)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
documents: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), numbers.map(number), text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=12,
)


@given(documents)
def test_what_is_written_is_read_again(document: Any) -> None:
    written = encode(document)
    assert equal(decode(written), document)
    assert equal(decode(written.encode()), document)
    assert encode(decode(written)) == written
    assert equal(decode(encode(document, ">", "  ").replace("\n>", "\n")), document)


ODD = [
    *(
        "NaN",
        "[Infinity]",
        "-Infinity",
        "01",
        "1.",
        ".5",
        "-",
        "--1",
        "+1",
        "1 2",
        "[1,]",
        '{"a":1,}',
        "",
        " 1 ",
        "1\u00a0",
    ),
    *('{"a":1,"a":2}', '"\\ud800"', '"\\uD83D"', '"\\ud83d\\ude00"', '"\\ude00\\ud83d"', '"\t"', '"\\x"', '"\\u12"'),
    *(
        "-0",
        "[-0,-0.0]",
        "1.0",
        "1.50",
        "1E+5",
        "1e99999",
        "1e30102",
        "1e-400",
        "9" * 60,
        "\ufeff1",
        "'a'",
        "nul",
        "{1:2}",
    ),
    *('["<&>\\u2028\\u007f\\u0000"]', '{"é":1,"\\uffff":2,"😀":3,"":4}', "[[[[]]]]", "0e99", '"\\/\\b\\f\\n"'),
]


def test_odd_texts_as_opa_reads_them(tmp_path: Path) -> None:
    texts = [encode([one]) for one in ODD]
    calls = {"json.unmarshal": texts, "json.is_valid": texts}
    calls["json.marshal"] = [f"[{one}]" for one in ODD if valid(one) and one != "1e99999"]
    assert differences(calls, tmp_path) == []


def test_broken_texts_as_opa_reads_them(tmp_path: Path) -> None:
    texts = [_broken('{"a": [1.50, -2e3, "\\u00e9\\n", true, null, {"b": ""}], "c": "d"}') for _ in range(500)]
    calls = [encode([one]) for one in texts if "null" in one and not one.endswith("null")]
    assert differences({"json.unmarshal": calls, "json.is_valid": calls}, tmp_path) == []


def _broken(written: str) -> str:
    held = list(written)
    for _ in range(random.randint(1, 3)):
        held[random.randrange(len(held))] = random.choice('{}[],:"\\u0e.-+ \n\x01')
    return "".join(held)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'"\xe2\x82"', "\ufffd\ufffd"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (b'"\xff\xc3\xa9"', "\ufffdé"),
        (b'{"\xff": 1}', {"\ufffd": 1}),
    ],
)
def test_bytes_that_are_no_utf8(data: bytes, found: Any) -> None:
    assert decode(data) == found


@pytest.mark.parametrize("data", [b"\xff1", b"\xef\xbb\xbf1", "1".encode("utf-16")])
def test_bytes_that_are_no_json(data: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        decode(data)


def test_depth_is_bounded() -> None:
    for opening, closing in ("[", "]"), ('{"a":', "}"):
        inner = "1" if opening != "[" else ""
        assert decode(opening * MAX_DEPTH + inner + closing * MAX_DEPTH)
        for depth in (MAX_DEPTH + 1, 100_000):
            with pytest.raises(ValueError, match="too deep"):
                decode(opening * depth + inner + closing * depth)


def test_length_is_bounded() -> None:
    part: Any = ["x" * 1000] * 1000
    with pytest.raises(ValueError, match="too long"):
        encode([part] * 20)


def test_what_is_no_json_is_written_as_opa_does() -> None:
    value = {
        "b": RegoSet([2, 1]),
        key(number("1.50")): 1,
        key(None): 2,
        key("[1]"): 3,
        key([1, "<"]): 4,
        1: 5,
        "1": 6,
    }
    assert encode(value) == '{"1":6,"1.50":1,"[1,\\"\\\\u003c\\"]":4,"[1]":3,"b":[1,2],"null":2}'
    assert encode({"a": [], "b": {}, "c": [1, {"d": 2}]}, "> ", "\t") == (
        '{\n> \t"a": [],\n> \t"b": {},\n> \t"c": [\n> \t\t1,\n> \t\t{\n> \t\t\t"d": 2\n> \t\t}\n> \t]\n> }'
    )
    assert encode("\ud800\udcff") == '"\\ufffd\\ufffd"'
