"""Patterns beyond test_rego_patterns.py: templates, overlapping globs, classes of globs, random regular expressions."""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.values import RegoSet
from tests.policy.called_in_opa import Call, hold_against_opa

TEMPLATES = ["urn:foo:{.*}", "{a}{b}", "{a{2}}", "a.b{[0-9]+}c", "{(}", "{}x", "<<a>>", "", "{a}|b{c}", "{a)(b}"]
GLOB_PARTS = [
    *("*", "**", "?", "[a-c]", "[!a]", "{", "}", ",", "\\", "[", "]", "a", "b", ".", "/", "é", "[]", "[!]", "[]-a]"),
    *("[\\]]", "[a-]", "[a-]]", "[--a]", "[!!]", "[!-a]", "[é-ü]", "\\*", "[^a]", "{,a}", "{}", "[a\\", "[\\]"),
]
OVERLAP_PARTS = ["a", "b", ".", "[ab]", "[a-c]", "[b-d]", "a*", "b+", ".*", ".+", "[ab]*", "\\.", "[-", "[z-a]", "[]"]
REGEX_PARTS = [
    *("a", "b", ".", "[^a]", "\\w", "\\b", "\\B", "^", "$", "é", "\\pL", "(a)", "(?P<n>b)", "(|a)", "a|b", "(?i:B)"),
    *("a*", "b+?", "a{2}", "a{3,1}", "{,3}", "(?U)a+", "\\Q+\\E", "[]a]", "(?=a)", "\\C", ")", "[", "a{1001}", "\\z"),
]
ODD: list[Any] = [None, True, 1, 1.5, [], {}, RegoSet(), ["a"]]
MEANINGS = [
    ("regex.template_match", ["urn:foo:{.*}", "urn:foo:bar:baz", "{", "}"], True),
    ("regex.template_match", ["urn:foo:{.*}", "foo", "{", "}"], False),
    ("regex.template_match", ["{a", "a", "{", "}"], UNDEFINED),
    ("regex.globs_match", ["a.a.[0-9]+z", "b.b*"], False),
    ("regex.globs_match", ["[a-z]+", "[0-9]*"], False),
    ("regex.globs_match", ["foo.*", "foobar+"], True),
    ("regex.globs_match", ["a*+", "a"], UNDEFINED),
    ("regex.replace", ["foo", "(o)", "<$1${1}$$$2>"], "f<oo$><oo$>"),
    ("regex.find_all_string_submatch_n", ["a(b)?", "aab", -1], [["a", ""], ["ab", "b"]]),
    ("regex.find_n", ["é", "éé", 1], ["é"]),
    ("regex.is_valid", [1], False),
    ("glob.match", ["*.github.com", None, "api.cdn.github.com"], True),
    ("glob.match", ["*.github.com", [], "api.cdn.github.com"], False),
    ("glob.match", ["[+-]]", [], "="], True),
    ("glob.match", ["a", [""], "a"], UNDEFINED),
    ("glob.quote_meta", ["a*[b]{c}\\?,!"], "a\\*\\[b\\]\\{c\\}\\\\\\?,!"),
]


def calls() -> list[Call]:
    random = Random(7)

    def joined(parts: list[str], most: int) -> str:
        return "".join(random.choices(parts, k=random.randint(0, most)))

    made: list[Call] = [
        ("regex.template_match", [template, text, *marks])
        for template, text, marks in product(TEMPLATES, ["urn:foo:bar", "ab", "aa", "a.b12c", ""], ["{}", "<>", "{{"])
    ]
    made += [("regex.globs_match", [joined(OVERLAP_PARTS, 6), joined(OVERLAP_PARTS, 6)]) for _ in range(600)]
    for _ in range(600):
        marks = random.choice([None, [], ["/"], ["é", "."], ["]"]])
        made.append(("glob.match", [joined(GLOB_PARTS, 4), marks, joined(list("ab./é-]"), 4)]))
        pattern, text = joined(REGEX_PARTS, 4), joined(list("abAéü \n+"), 6)
        made += [("regex.is_valid", [pattern]), ("regex.split", [pattern, text])]
        made.append(("regex.find_all_string_submatch_n", [pattern, text, random.choice([-1, 1, 1.0, 1.5])]))
        made.append(("regex.replace", [text, pattern, "<$0|$1|${n}>"]))
    made += [("glob.match", ["a", odd, "a"]) for odd in ODD]
    made += [(name, [odd, "a"]) for name, odd in product(["regex.match", "regex.split", "regex.globs_match"], ODD)]
    # OPA keeps globs by pattern and delimiters joined with "-", and takes one for the other where they are alike.
    return [call for call in made if call[0] != "glob.match" or "-" not in str(call[1][0])]


def test_patterns_mean_what_they_mean_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("name", "args", "answer"), MEANINGS)
def test_what_patterns_mean(name: str, args: list[Any], answer: Any) -> None:
    assert BUILTINS[name](*args) == answer


@pytest.mark.parametrize(
    ("one", "other"), [("a*" * 40 + "b", "a*" * 40 + "c"), (".*a" * 40, ".*b" * 40), ("a" * 50_000, "a" * 50_000)]
)
def test_overlapping_globs_take_no_time_to_speak_of(one: str, other: str) -> None:
    started = time.process_time()
    BUILTINS["regex.globs_match"](one, other)
    assert time.process_time() - started < 5  # half a second; for ever, if they were tried one after another
