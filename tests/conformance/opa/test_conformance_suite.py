"""The runner of OPA's suite: what it takes for the same, and what it says where something changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from policy.rego.values import UNDEFINED, RegoSet
from tests.conformance.opa import suite
from tests.conformance.opa.__main__ import main
from tests.conformance.opa.known import read_known
from tests.conformance.opa.oracle import PLANNER, Case, Oracle, from_term, json_values
from tests.conformance.opa.regopy_plans import plans
from tests.conformance.opa.report import Count, surprises


@pytest.fixture
def planner() -> None:
    if not PLANNER.exists():
        pytest.skip("needs opa")


CASE = Case("note", "file", "data.a.p = x", (), {}, {}, UNDEFINED, None, "", False, False)


@pytest.mark.parametrize(
    ("want", "got", "in_any_order", "passes"),
    [
        ([{"x": [1, 2]}], [{"x": RegoSet([2, 1])}], False, True),
        ([{"x": [1, 2]}], [{"x": [2, 1]}], False, False),
        ([{"x": [1, 2]}], [{"x": [2, 1]}], True, True),
        ([{"x": 1}, {"x": 2}], [{"x": 2}, {"x": 1}], False, True),
        ([{"x": 1}], [{"x": 1.0}], False, True),
        ([{"x": 1}], [{"x": True}], False, False),
        ([], [], False, True),
        ([], [{"x": None}], False, False),
    ],
)
def test_results_are_the_same_as_in_opas_runner(
    monkeypatch: pytest.MonkeyPatch, want: Any, got: Any, in_any_order: bool, passes: bool
) -> None:
    case = replace(CASE, want_result=want, sort_bindings=in_any_order)
    assert suite.judged(case, lambda: got).passed is passes


@pytest.mark.parametrize(
    ("want", "code", "same"),
    [
        ("eval_conflict_error", "eval_conflict_error", True),
        ("eval_type_error", "eval_builtin_error", True),
        ("any", "eval_conflict_error", True),
        ("eval_builtin_error", "eval_conflict_error", False),
        ("", "eval_conflict_error", False),
    ],
)
def test_errors_are_the_same_by_code(want: str, code: str, same: bool) -> None:
    assert suite.same_error(want, code) is same


def test_an_entry_point_answers_plain_queries_only() -> None:
    queries = ("data.a.p = x", "data = x", "data.a.p[1] = x", "1 / 0", "data.a.p = x; data.a.q = y", "data.a.p = input")
    assert [suite.entrypoint(replace(CASE, query=query)) for query in queries] == ["a/p", "", "", "", "", ""]


def test_a_case_that_starts_or_stops_failing_is_named() -> None:
    known = {"old": "why", "fixed": "why", "not run": "why"}
    found = surprises("fails", {"new": "got", "old": "got"}, known, {"new", "old", "fixed", "passing"})
    assert list(found) == ["fails: new: got", "no longer fails: fixed"]


def test_figures_add_up() -> None:
    count = Count(refused=2)
    count.add("a", suite.Outcome(True, ""))
    count.add("b", suite.Outcome(False, "got"))
    assert count.figures() == {"total": 4, "passed": 1, "failed": 1, "refused": 2}


def test_terms_are_values() -> None:
    pair = '[{"type": "boolean", "value": true}, {"type": "null"}]'
    text = f'{{"type": "set", "value": [{{"type": "number", "value": 1.50}}, {{"type": "object", "value": [{pair}]}}]}}'
    assert repr(from_term(json_values(text))) == "RegoSet([Numeral('1.50'), {Key(True): None}])"


def test_what_takes_regopy_down_costs_one_plan() -> None:
    good = {"modules": {"a.rego": "package a\np := 1"}, "entrypoints": ["a/p"]}
    deadly = {"modules": {"a.rego": "package a\nf(x) := 1\nf(x, y) := 2\np := f(1)"}, "entrypoints": ["a/p"]}
    assert ["plan" in answer for answer in plans([good, deadly, good])] == [True, False, True]


def test_known_cases_are_listed_once() -> None:
    assert read_known().refused


@pytest.mark.usefixtures("planner")
def test_the_last_line_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "v1/array/"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["total"] == figures["passed"] > 0
    assert figures["regopy"]["total"] + figures["regopy"]["unplanned"] == figures["total"]


@pytest.mark.usefixtures("planner")
def test_opa_says_what_is_invalid() -> None:
    with Oracle() as oracle, pytest.raises(ValueError, match="rego_unsafe_var_error"):
        oracle.ask(["package a\np := x"], "data.a.p = x", "{}", [""], strict=False)
