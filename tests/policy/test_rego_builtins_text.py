"""Text: OPA's meaning, to odd arguments."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.values import RegoSet
from tests.policy.called_in_opa import Call, hold_against_opa

TEXTS = ["", "a", "aXbXc", "  a\t", "éa ß", "ΑΣ Σα", "İstanbul ǅ ŉ ﬁ", "\x1c x\x85", "aaa", "\u00a0\u3000x", "a.b.c"]
SEARCHES = ["", "a", ".", "aa", "é", "Xb", "\u3000"]
ODD: list[Any] = [None, True, 1, 1.5, [], {}, RegoSet(), ["a"], RegoSet(["a", "b"]), ["a", 1], {"a": "b"}]
TABLES = [{"a": "1", "ab": "2"}, {"ab": "2", "b": "x"}, {"": "-"}, {"": "-", "a": "xx"}, {}, {1: "a"}, {"a": 1}]
ONE_TEXT = ["lower", "upper", "trim_space", "strings.reverse"]
TWO_TEXTS = [
    *("contains", "startswith", "endswith", "indexof", "indexof_n", "split", "strings.count"),
    *("trim", "trim_left", "trim_right", "trim_prefix", "trim_suffix"),
]
MEANINGS = [
    ("upper", ["straße"], "STRAßE"),
    ("lower", ["ΟΔΥΣΣΕΥΣ İ"], "οδυσσευσ i"),
    ("trim_space", ["\x1c a \x85"], "\x1c a"),
    ("replace", ["é", "", "-"], "-\udcc3-\udca9-"),
    ("strings.replace_n", [{"a": "1", "ab": "2"}, "abc"], "1bc"),
    ("strings.split_n", ["a.b.c", ".", 2], ["a", "b"]),
    ("strings.split_n", ["a.b.c", ".", -2], ["b", "c"]),
    ("substring", ["abc", 1, -1], "bc"),
    ("substring", ["abc", -1, 1], UNDEFINED),
    ("indexof_n", ["aaa", "aa"], [0, 1]),
    ("strings.any_prefix_match", [["xy", "ab"], RegoSet(["a"])], True),
    ("strings.any_suffix_match", ["xy", []], False),
    ("concat", [",", RegoSet(["b", "a"])], "a,b"),
    ("concat", [",", ["a", 1]], UNDEFINED),
    ("indexof", ["a", ""], UNDEFINED),
]


def calls() -> list[Call]:
    made: list[Call] = [(name, [text]) for name, text in product(ONE_TEXT, [*TEXTS, *ODD])]
    made += [(name, [text, search]) for name, text, search in product(TWO_TEXTS, TEXTS, SEARCHES)]
    made += [(name, args) for name, odd in product(TWO_TEXTS, ODD) for args in ([odd, "a"], ["a", odd])]
    made += [("replace", list(args)) for args in product(TEXTS, SEARCHES, ["", "-"])]
    made += [("strings.replace_n", list(args)) for args in product(TABLES, TEXTS)]
    made += [("substring", list(args)) for args in product(TEXTS, [0, 2, -1, 1.5, 2**63], [0, -1, 3, 2**62])]
    made += [("strings.split_n", list(args)) for args in product(TEXTS, ["", ".", "X"], [0, 1, 2, -2, 2**63 - 1, 1.5])]
    made += [("concat", list(args)) for args in product([",", None], ODD)]
    many = ["a", "", [], ["b", "a"], RegoSet(["ab", "x"]), ["", "z"], *ODD]
    made += [(f"strings.any_{end}_match", [a, b]) for end, a, b in product(("prefix", "suffix"), many, many)]
    return made


def test_text_means_what_it_means_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("name", "args", "answer"), MEANINGS)
def test_what_text_means(name: str, args: list[Any], answer: Any) -> None:
    assert BUILTINS[name](*args) == answer


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("replace", ["a" * 10_000, "a", "b" * 10_000]),
        ("replace", ["a" * 10_000, "", "b" * 10_000]),
        ("strings.replace_n", [{"a": "b" * 10_000}, "a" * 10_000]),
        ("concat", ["b" * 10_000, ["a"] * 10_000]),
        ("split", ["a" * 1_000_001, ""]),
        ("indexof_n", ["a" * 1_000_001, "a"]),
        ("strings.split_n", ["a" * 1_000_001, "", -1]),
    ],
)
def test_no_text_becomes_too_long(name: str, args: list[Any]) -> None:
    assert BUILTINS[name](*args) is UNDEFINED
