"""Compiled Rego against what it must answer: cases are data, all compiled as one program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from policy.rego import UNDEFINED, Program, compile_program
from policy.rego.values import EvaluationError, to_python

DATA = {"owners": {"1001": "alice"}, "list": [1, 2, 3], "risk": {"alice": "high"}}
INPUT = {"x": 1, "name": "alice", "roles": ["a", "b"], "tags": {"k1": "v1", "k2": "v2"}, "n": None, "t": True}
UNDEFINED_ANSWER = "undefined"


@dataclass(frozen=True)
class Case:
    note: str
    body: str
    want: Any


CASES = (
    Case("constant", 'p := "x"', "x"),
    Case("default", "default p := 1\np := 2 if input.x == 5", 1),
    Case("input", "p if input.x == 1.0", True),
    Case("true is not one", "p if input.t == 1", UNDEFINED_ANSWER),
    Case("null is a value", "p if input.n == null", True),
    Case("undefined", "p if input.missing", UNDEFINED_ANSWER),
    Case("negation", "p if not input.missing", True),
    Case("else", "p := 1 if input.missing else := 2 if input.x == 1 else := 3", 2),
    Case("data", "p := data.owners[input.account] if true", UNDEFINED_ANSWER),
    Case("data by variable", 'p := data.owners[k] if k := "1001"', "alice"),
    Case(
        "not data by a variable rule path", 'q := 1\np if {\n\tk := "1001"\n\tnot data.owners[k]\n}', UNDEFINED_ANSWER
    ),
    Case("partial set", "p contains r if some r in input.roles", ["a", "b"]),
    Case("constant element under a condition", 'p contains "a" if input.missing', []),
    Case("partial object", "p[k] := v if some k, v in input.tags", {"k1": "v1", "k2": "v2"}),
    Case("array comprehension", "p := [y | some x in data.list; y := x * 2]", [2, 4, 6]),
    Case("set comprehension keeps one", "p := {y | some x in data.list; y := x % 2}", [0, 1]),
    Case("object comprehension", "p := {k: v | some k in input.roles; v := 1}", {"a": 1, "b": 1}),
    Case("set distinguishes true and one", "p := count({1, true, 1.0})", 2),
    Case("composite keys", "p := count({[1], [1.0], [true]})", 2),
    Case("every", "p if {\n\tevery x in data.list { x > 0 }\n}", True),
    Case("every fails", "p if {\n\tevery x in data.list { x > 1 }\n}", UNDEFINED_ANSWER),
    Case("every over what is no collection", "p if {\n\tevery x in input.x { x > 0 }\n}", UNDEFINED_ANSWER),
    Case("function", "f(a, b) := a + b\np := f(input.x, 2)", 3),
    Case("function of patterns", 'f("a") := 1\nf("b") := 2\np := f("b")', 2),
    Case("with input", "q if input.x == 7\np if q with input.x as 7", True),
    Case("with restores", "q := input.x\np := [a, b] if {\n\ta := q with input.x as 7\n\tb := q\n}", [7, 1]),
    Case("with data", 'q := data.risk.alice\np := x if x := q with data.risk.alice as "low"', "low"),
    Case("with a builtin", "q := count([1])\np := x if x := q with count as 7", 7),
    Case("iteration order", "p := [k | input.tags[k]]", ["k1", "k2"]),
    Case("membership", 'p if "b" in input.roles', True),
    Case("reference to a package", "q := 1\np := object.keys(input.tags)", ["k1", "k2"]),
    Case("literals in raw strings", 'p := `"quoted"\\n`', '"quoted"\\n'),
    Case("literals with escapes", 'p := "tab\\t\\"q\\" \\u00e9"', 'tab\t"q" é'),
    Case("sprintf", 'p := sprintf("%s has %d of %v", [input.name, 2, [1, "a"]])', 'alice has 2 of [1, "a"]'),
    Case("builtin error is undefined", "p := 1 / input.zero", UNDEFINED_ANSWER),
    Case("division by zero is undefined", "p := 1 / (input.x - 1)", UNDEFINED_ANSWER),
    Case("net", 'p if net.cidr_contains("10.0.0.0/8", "10.1.2.3")', True),
    Case("glob", 'p if glob.match("/accounts/*", ["/"], "/accounts/1001")', True),
    Case("regex", "p if regex.match(`^a.*e$`, input.name)", True),
    Case("time", "p := time.now_ns()", 5),
    Case("object.get", 'p := object.get(input, ["tags", "zz"], 0)', 0),
    Case("json", 'p := json.unmarshal("[1, {\\"a\\": null}]")', [1, {"a": None}]),
    Case("base64", "p := base64.decode(base64.encode(input.name))", "alice"),
    Case("items of an array", "p := [data.list[0], input.roles[1]]", [1, "b"]),
    Case("item beyond an array", "p := data.list[3]", UNDEFINED_ANSWER),
    Case("item of a text", "p := input.name[0]", UNDEFINED_ANSWER),
    Case("item of an object", "p := input.tags[0]", UNDEFINED_ANSWER),
    Case("item by a variable", "p := data.list[i] if i := input.x", 2),
    Case("item of a boolean place", "p := data.list[i] if i := input.t", UNDEFINED_ANSWER),
    Case("element of a set by itself", "s contains r if some r in input.roles\np := s[input.roles[0]]", "a"),
    Case("counts", "p := [count(x) | some x in [input.name, input.roles, input.tags, {1, 2}]]", [5, 2, 2, 2]),
    Case("count of a number", "p := count(input.x)", UNDEFINED_ANSWER),
    Case("no text among numbers", 'p if "1" in data.list', UNDEFINED_ANSWER),
    Case("no true among numbers", "p if input.t in data.list", UNDEFINED_ANSWER),
    Case("number in a set", "p if input.x in {2, 1.0}", True),
    Case("text in a set", 'p if input.name in {"bob", "alice"}', True),
    Case("text in an object", 'p if {\n\tx := "v2"\n\tx in input.tags\n}', True),
    Case("two values of one kind", "p if input.x == data.list[0]", True),
    Case("a text is no number", 'p if sprintf("%d", [input.x]) == input.x', UNDEFINED_ANSWER),
    Case("true and one in a set", "p := count({x | some x in [input.t, input.x]})", 2),
    Case("walk", "p := count([1 | walk(data.list, [_, _])])", 4),
)


@pytest.fixture(scope="module")
def program() -> Program:
    modules = {f"c{at}.rego": f"package c{at}\n\n{case.body}\n" for at, case in enumerate(CASES)}
    return compile_program(modules, [f"c{at}/p" for at in range(len(CASES))])


@pytest.mark.parametrize("at", range(len(CASES)), ids=[case.note for case in CASES])
def test_answer(program: Program, at: int) -> None:
    answer = program.evaluate(f"c{at}/p", INPUT, DATA, now=5)
    assert (UNDEFINED_ANSWER if answer is UNDEFINED else to_python(answer)) == CASES[at].want


def test_contradiction_is_an_error() -> None:
    program = compile_program({"a.rego": "package a\np := 1 if input.x\np := 2 if input.y"}, ["a/p"])
    assert program.evaluate("a/p", {"x": 1}, {}) == 1
    with pytest.raises(EvaluationError):
        program.evaluate("a/p", {"x": 1, "y": 1}, {})


def test_source_reads_as_the_policy() -> None:
    source = compile_program({"bank.rego": "package a\np if input.x == 1"}, ["a/p"]).source
    assert "def rule_a_p(input, data, m):  # data.a.p at bank.rego:2" in source
    assert "input.get('x', U)" in source


def test_rules_that_read_no_document_are_evaluated_once() -> None:
    program = compile_program({"a.rego": "package a\nq := numbers.range(1, 3)\np := q if input.x"}, ["a/p"])
    assert "fixed_rule_a_q" in program.source
    assert program.evaluate("a/p", {"x": 1}, {}) == [1, 2, 3]


DEEP = "; ".join(f"some x{number} in input" for number in range(30))


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (f"p if {{ {DEEP}; x29 == 2 }}", True),
        (f"p if {{ {DEEP}; x29 == 3 }}", UNDEFINED),
        (f"p := x29 if {{ {DEEP}; not x29 == 3 }}", 2),
        (f"p := [x29 | {DEEP}]", [2]),
        (f"p := x if {{ y := 5; {DEEP}; x := x0 + y with input as [1] with data.z as x29 }}", 7),
    ],
)
def test_loops_deeper_than_python_takes(body: str, want: Any) -> None:
    assert compile_program({"a.rego": f"package deep\n{body}"}, ["deep/p"]).evaluate("deep/p", [2], {}) == want


def test_elements_of_data_are_found_by_an_index_until_they_change() -> None:
    rego = "package a\np contains u.name if {\n\tsome u in data.users\n\tu.id == input.user\n}"
    program = compile_program({"a.rego": rego}, ["a/p"])
    data = {"users": [{"id": number % 20, "name": f"n{number}"} for number in range(40)] + [{"id": 3.0, "name": "x"}]}
    evaluate, cache = program.evaluator("a/p"), program.cache()
    first = evaluate({"user": 3}, data, 0, cache.entries)[0]
    assert to_python(first) == ["n23", "n3", "x"]
    assert evaluate({"user": 3}, data, 0, cache.entries)[0] == evaluate({"user": 3}, data, 0, None)[0]
    data["users"].append({"id": 3, "name": "new"})
    cache.changed([("users", "41")])
    assert to_python(evaluate({"user": 3}, data, 0, cache.entries)[0]) == ["n23", "n3", "new", "x"]


def test_rules_that_read_data_alone_are_evaluated_once_for_each_change_of_what_they_read() -> None:
    rego = "package a\nadmins contains u.id if {\n\tsome u in data.users\n\tu.admin\n}\np if input.who in admins"
    program = compile_program({"a.rego": rego}, ["a/p"])
    data: dict[str, Any] = {"users": [{"id": "ada", "admin": True}], "other": 1}
    evaluate, cache = program.evaluator("a/p"), program.cache()

    def asked() -> Any:
        value, trace = evaluate({"who": "ada"}, data, 0, cache.entries)
        assert program.reading(trace).paths() == {("data", "users"), ("input", "who")}
        return value

    assert asked() is True
    held = cache.entries[0]
    data["other"] = 2
    cache.changed([("other",)])
    assert asked() is True
    assert cache.entries[0] is held
    data["users"][0]["admin"] = False
    cache.changed([("users", "0", "admin")])
    assert asked() is UNDEFINED
    data["users"] = [{"id": "ada", "admin": True}]
    cache.changed([()])
    assert asked() is True


def test_source_shows_the_rego_beside_the_python() -> None:
    assert "# 2: p if input.x == 1" in compile_program({"bank.rego": "package a\np if input.x == 1"}, ["a/p"]).source
