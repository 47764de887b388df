"""Rules that stand in place of calls answer as if they were called, and each is evaluated once."""

from __future__ import annotations

from typing import Any

import pytest

from policy.rego import UNDEFINED, Program, compile_program
from policy.rego.limits import Limits
from policy.rego.values import EvaluationError, to_python

NOTHING = "undefined"


def program(rules: str, limits: Limits | None = None) -> Program:
    return compile_program({"a.rego": f"package a\n\n{rules}\n"}, ["a/p"], limits=limits)


def answer(rules: str, document: Any, data: Any = None) -> Any:
    found = program(rules).evaluate("a/p", document, data or {})
    return NOTHING if found is UNDEFINED else to_python(found)


SEVERAL_BODIES = "q := 1 if input.a\nq := 2 if input.b\n"
IN_A_LOOP = """
good(x) if x > 10
good(x) if x % 2 == 0
p contains x if {
	some x in input.xs
	not good(x)
}
"""
FOUND_IN_A_LOOP = """
known if {
	some x in input.xs
	some y in input.ys
	x == y
}
p := "known" if known
p := "new" if not known
"""
ASKED_ON_SOME_WAYS = """
who := input.who
owner if data.owner == who
p contains "a" if {
	input.a
	owner
}
p contains "b" if {
	input.b
	owner
}
p contains "c" if not owner
"""
OTHER_DOCUMENTS = """
q if input.x == 1
r if q
p contains "plain" if r
p contains "changed" if r with input.x as 1
p contains "back" if not r
"""
CHAIN = """
bad contains "x" if input.x
good contains "y" if input.y
p := {"no": bad} if count(bad) > 0
else := {"step": good} if {
	count(good) > 0
	input.z
}
else := {"yes": good} if count(good) > 0
"""
MAY_BE_FALSE = """
default flag := false
flag if input.on
p contains "on" if flag
p contains "off" if not flag
p contains "still off" if flag == false
"""


@pytest.mark.parametrize(
    ("rules", "document", "want"),
    [
        (f"{SEVERAL_BODIES}p if q == 2", {"b": True}, True),
        (f"{SEVERAL_BODIES}p if not q", {}, True),
        (f"{SEVERAL_BODIES}p := q", {}, NOTHING),
        (IN_A_LOOP, {"xs": [12, 3, 4, 5, 11]}, [3, 5]),
        (FOUND_IN_A_LOOP, {"xs": [1, 2, 3], "ys": [9, 2, 3]}, "known"),
        (FOUND_IN_A_LOOP, {"xs": [1, 2, 3], "ys": [9]}, "new"),
        (ASKED_ON_SOME_WAYS, {"a": True, "b": True, "who": "ada"}, ["a", "b"]),
        (ASKED_ON_SOME_WAYS, {"b": True, "who": "ada"}, ["b"]),
        (ASKED_ON_SOME_WAYS, {"a": True, "who": "eve"}, ["c"]),
        (ASKED_ON_SOME_WAYS, {"a": True}, ["c"]),
        (OTHER_DOCUMENTS, {"x": 1}, ["changed", "plain"]),
        (OTHER_DOCUMENTS, {"x": 2}, ["back", "changed"]),
        (CHAIN, {"x": 1, "y": 1}, {"no": ["x"]}),
        (CHAIN, {"y": 1, "z": 1}, {"step": ["y"]}),
        (CHAIN, {"y": 1}, {"yes": ["y"]}),
        (CHAIN, {}, NOTHING),
        (MAY_BE_FALSE, {"on": True}, ["on"]),
        (MAY_BE_FALSE, {}, ["off", "still off"]),
        ("limit := 5\np if input.x > limit", {"x": 6}, True),
        ("limit := 5\np if input.x > limit", {"x": 5}, NOTHING),
        ("f(x) := x.a\ng(x) := f(x.b)\np := g(input)", {"b": {"a": 7}}, 7),
    ],
)
def test_answers(rules: str, document: Any, want: Any) -> None:
    assert answer(rules, document, {"owner": "ada"}) == want


def test_two_values_are_still_a_conflict() -> None:
    with pytest.raises(EvaluationError, match="two values"):
        answer(f"{SEVERAL_BODIES}p := q", {"a": True, "b": True})


def test_a_body_with_other_documents_gives_no_value_where_it_fails() -> None:
    rules = "q := null if true\nq if {\n\tinput.a with data.zz as null\n\ttrue\n}\np := [q]"
    assert answer(rules, {}) == [None]
    with pytest.raises(EvaluationError, match="two values"):
        answer(rules, {"a": True})


def test_a_rule_is_evaluated_once_wherever_it_is_asked_for() -> None:
    """Twice would take more steps than an evaluation may make."""
    asked = "\n".join(f'p contains "{n}" if {{\n\tinput.go[{n}]\n\tlong\n}}' for n in range(10))
    small = 'shorter if long\np contains "s" if shorter\np contains "t" if not shorter'
    rules = f"long if {{\n\tcount([x | some x in input.xs; x > 3]) > 5\n}}\n{asked}\n{small}"
    document = {"xs": list(range(900)), "go": [n % 3 > 0 for n in range(10)]}
    found = program(rules, Limits(steps=1_500, seconds=60)).evaluate("a/p", document, {})
    assert to_python(found) == ["1", "2", "4", "5", "7", "8", "s"]


def test_an_answer_ends_the_loop_that_finds_it() -> None:
    """A thousand elements in each of a thousand: too many, if the loops went on."""
    document = {"xs": [1, *range(1000)], "ys": [1, *range(1000)]}
    rules = "pair if {\n\tsome x in input.xs\n\tsome y in input.ys\n\tx == y\n}\np := 1 if pair\np := 2 if not pair"
    assert program(rules, Limits(steps=5_000, seconds=60)).evaluate("a/p", document, {}) == 1


def test_rules_that_stand_elsewhere_answer_for_their_path_too() -> None:
    compiled = program("q := input.x + 1\nr := q * 2\np := r")
    assert compiled.evaluate("a/p", {"x": 1}, {}) == 4
    assert compiled.at(["a", "q"], {"x": 1}, {}) == 2
    assert to_python(compiled.at(["a"], {"x": 1}, {})) == {"q": 2, "r": 4, "p": 4}


def test_chains_that_nobody_may_ask_twice_stay_linear() -> None:
    """Thirty rules, each of which asks the one before it twice."""
    rules = ["r0 contains x if some x in input.xs"]
    for n in range(1, 30):
        rules += [
            f"r{n} contains x if some x in r{n - 1}",
            f"r{n} contains [x] if {{\n\tsome x in r{n - 1}\n\tx < 0\n}}",
        ]
    compiled = program("\n".join([*rules, "p := r29"]), Limits(steps=10_000, seconds=60))
    assert to_python(compiled.evaluate("a/p", {"xs": [1, 2]}, {})) == [1, 2]
    assert to_python(compiled.at(["a", "r29"], {"xs": [1, 2]}, {})) == [1, 2]
