"""YAML: what go-yaml reads and writes."""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.values import RegoSet
from tests.policy.called_in_opa import Call, hold_against_opa

WORDS = [
    *(
        "",
        "a",
        "yes",
        "no",
        "null",
        "~",
        "TRUE",
        "1",
        "0x1F",
        "0o7",
        "0777",
        "08",
        "1_000",
        "1.5",
        "1e3",
        "1e400",
        ".5",
    ),
    *(
        "-.inf",
        ".nan",
        "+1",
        "-0",
        "12:30:45",
        "2001-01-01",
        "2001-01-01T10:00:00Z",
        "<<",
        "=",
        "a b",
        " a",
        "a ",
        "a:",
    ),
    *("a: b", "a #b", "#a", "- a", "-", "?", "? a", ":", "a:b", "*a", "&a", "!a", "%a", "@a", "`a", "|", "[a]", "{a}"),
    *("a,b", "'", '"', "it's", "\\", "tab\tx", "nl\n", "a\nb", "\n", "\n\n", "a\n\n", " a\nb", "a \nb", "a\n b", "\r"),
    *("a\r\nb", "\u2028", "a\u2028b", "é", "日本", "😀", "\u00a0", "\x07", "\x7f", "\x85", "a\x85b", "\ufeffab", "---"),
    *("--- a", "...", "a\n---\nb", "\x00", "long " * 40, "k" * 130, "0b11", "1__0", "1.", "+.5", "1e-7", "\ue000"),
    *("18446744073709551615", "18446744073709551616", "-9223372036854775809", "y", "on", "190:20:30", "a\n\u2028b"),
]
VALUES: list[Any] = [
    *(None, True, 0, 1.5, 1234567.5, 10**21, 2**64, 1e300, 0.000001, 1e-7, [], {}, RegoSet(["b", "a"])),
    *([[1, [2, {}]], {"a": [], "b": {"c": [1]}}], {"a10": 1, "a9": 2, "a09": 3, "A": 4, "_": 5, "1b": 6, "10": 7}),
    *({"a\nb": {"c": 1}}, {"k" * 130: [1]}, {1: {2: 3}}, ["a\nb", {"x": " y\nz"}]),
]
DOCUMENTS = [
    *("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", "a: &x {b: 1}\ny: &y {b: 2, z: 1}\nd: {<<: [*x, *y]}", "d: {<<: 1}"),
    *("d: {<<: {a: 1}, <<: {a: 2, b: 3}}", "a: &x [1]\nd: {<<: *x}", "a: &a [*a]", "- &a 1\n- *a\n- &a 2\n- *a"),
    *("{1: a, true: b, 1.5: c, 0x10: d}", "{a: 1, a: 2, b: 3, a: 4}", "{1: a, '1': b}", "{16777217.5: x}", "{1e39: x}"),
    *("x: &x {1: a, true: b, ~: c, 2.50: d}\ny: {<<: *x, k: 1}", "? [a]\n: 1", "~: 1", "a: .nan", "# x", "--- \n---\n"),
    *(
        "a: 1\n---\nb: 2",
        "a\n---\n[",
        "- 1\n-2",
        "a:\n- 1\n- 2",
        "\ta: 1",
        "a: |\n x\n  y\nb: >\n f\n g\n\n h",
        "a: |+\n x\n\n",
    ),
    *("{a, b: , c}", "'a''b'", '"\\x41\\u00e9\\U0001F600"', '"\\ud800"', "!!set {a, b}", "!local x", "a: !!int '3'"),
    *("a: !!float 3", "!!binary aGVsbG8=", "!!binary a!", "!!binary /w==", "a: !!null x", "a: !!bool yes", "[,]"),
    *("!!timestamp 2001-01-01", "!!timestamp 2001-01-01T10:00:00.5+01:30", "!!timestamp x", "%YAML 1.2\n---\na"),
    *("%TAG ! tag:yaml.org,2002:\n---\n!int 3", "a: b: c", "? a\n? b", "a: x\n  y\n\n  z", "- &a\n- *a", "*a", "&a"),
    *("2001-12-14t21:59:43.10-05:00", "a\nb: 1", "a: 'b'c", "\x07", '"a\x85b"', "k" * 1030 + ": 1", '<<: {}\n"<<": 1'),
    "a: &a [1,2]\nb: [" + ",".join(["*a"] * 400) + "]",
]
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MEANINGS = [
    ("yaml.unmarshal", ["on: yes\n1: 0777"], {"on": "yes", "1": 511}),
    ("yaml.unmarshal", [""], None),
    ("yaml.unmarshal", ["a: ["], UNDEFINED),
    ("yaml.unmarshal", [BOMB], UNDEFINED),
    ("yaml.unmarshal", ["[" * 101 + "]" * 101], UNDEFINED),
    ("yaml.is_valid", ["a: 1"], True),
    ("yaml.is_valid", [{}], False),
    ("yaml.marshal", [{"b": [1, "yes"], "a": "x\ny\n"}], 'a: |\n  x\n  y\nb:\n  - 1\n  - "yes"\n'),
]


def calls() -> list[Call]:
    made: list[Call] = [("yaml.marshal", [one]) for one in VALUES]
    for word in WORDS:
        made += [("yaml.marshal", [one]) for one in (word, {word: word}, [[{word: [word, {"x": word}]}]])]
    texts = [word for word in WORDS if "\ufeff" not in word] + DOCUMENTS + [f"a: {word}" for word in WORDS]
    return made + [(name, [text]) for name, text in product(("yaml.unmarshal", "yaml.is_valid"), texts)]


def test_yaml_means_what_it_means_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("name", "args", "answer"), MEANINGS)
def test_what_yaml_means(name: str, args: list[Any], answer: Any) -> None:
    assert BUILTINS[name](*args) == answer


@pytest.mark.parametrize("text", [BOMB, "[" * 100_000, "{a: " * 50_000, "- " * 50_000, "? " * 50_000])
def test_no_yaml_stalls_a_decision(text: str) -> None:
    started = time.process_time()
    assert BUILTINS["yaml.is_valid"](text) is False
    assert time.process_time() - started < 3
