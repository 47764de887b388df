"""Regular expressions and globs: OPA's meaning, in time that no caller can stretch."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from policy import AccessRequest, Bundle, Principal, embedded_pdp
from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from tests.policy.real_opa import opa_binary

PATTERNS = [
    "",
    "a",
    "a*",
    "b|",
    "(a)(b)?",
    "(?P<n>a+)|(?<m>b)",
    "(?i)B",
    r"\bé",
    r"^\pL+\z",
    "[[:alpha:]]{2}",
    ",",
    ".",
]
NO_PATTERNS = ["(?=a)", "(?<!a)b", r"(a)\1", "a**", "a{1001}", r"a\Z", r"\C", "(", "[b-a]", "a++"]
TEXTS = ["", "a", "baaac", "aéb", "a,b,", "AbC", "ab\n"]
GLOBS = ["*", "**", "?", "a.*", "[a-c]", "[!a]", "{a,a.b}", "a}", "{a", r"\*", "é"]
GLOBBED = ["", "a", "a.b", "a/b", "b", "*", "a}", "é"]


def calls() -> list[tuple[str, list[Any]]]:
    made: list[tuple[str, list[Any]]] = []
    for pattern, text in itertools.product([*PATTERNS, *NO_PATTERNS], TEXTS):
        made += [("regex.is_valid", [pattern]), ("regex.match", [pattern, text]), ("regex.split", [pattern, text])]
        made += [(f"regex.{name}", [pattern, text, -1]) for name in ("find_n", "find_all_string_submatch_n")]
        made += [("regex.replace", [text, pattern, to]) for to in ("-", "<${1}$n>")]
    for pattern, text in itertools.product(GLOBS, GLOBBED):
        made += [("glob.match", [pattern, marks, text]) for marks in (None, [], ["/"])]
    return made


def test_patterns_mean_what_they_mean_in_opa(tmp_path: Path) -> None:
    made = calls()
    (tmp_path / "data.json").write_text(json.dumps({"calls": [{"name": name, "args": args} for name, args in made]}))
    queries = []
    for name in sorted({name for name, _ in made}):
        count = next(len(args) for other, args in made if other == name)
        given = ", ".join(f"c.args[{index}]" for index in range(count))
        queries.append(f'{{[i, x] | some i, c in data.calls; c.name == "{name}"; x := {name}({given})}}')
    command = [str(opa_binary()), "eval", "--format", "json", "--data", str(tmp_path), " | ".join(queries)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    answers = dict(found["result"][0]["expressions"][0]["value"])
    for index, (name, args) in enumerate(made):
        assert (name, args, BUILTINS[name](*args)) == (name, args, answers.get(index, UNDEFINED))


@pytest.mark.parametrize("pattern", NO_PATTERNS)
def test_what_opa_refuses_is_undefined(pattern: str) -> None:
    assert BUILTINS["regex.match"](pattern, "ab") is UNDEFINED
    assert BUILTINS["regex.is_valid"](pattern) is False


@pytest.mark.parametrize(
    "test",
    [
        "regex.match(`^(a+)+$`, input.query)",
        "regex.match(`(a|a)*(a|a)*b`, input.query)",
        'glob.match("*a*a*a*a*a*a*a*a*b", [], input.query)',
        'glob.match("{a,a,aa}{a,a,aa}{a,a,aa}{a,a,aa}{a,a,aa}{a,a,aa}{a,a,aa}{a,a,aa}c", [], input.query)',
    ],
)
def test_no_text_of_a_caller_stalls_a_decision(test: str) -> None:
    rule = f'package portcullis.access\n\ndecision := {{"effect": "allow"}} if {test}\n'
    pdp = embedded_pdp(Bundle({"a.rego": rule}, {}))
    who = Principal(id="person:alice", kind="person", issuer="bank")
    text = "a" * 5000 + "!"
    started = time.process_time()
    decision = pdp.decide(AccessRequest(principal=who, action="GET", service="s", path="/", query=text))
    assert decision.reasons == ("no_rule",)
    assert time.process_time() - started < 1
