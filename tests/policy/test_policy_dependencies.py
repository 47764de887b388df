"""What an answer says that it depended on is all that it depended on: no change of anything else changes it.

`make prove` makes 50,000 changes, `make test` a fiftieth of that.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.decisions import bank, requests
from policy import PolicyError, read_bundle
from policy.question import access_input
from policy.rego import UNDEFINED, compile_plan, compile_program
from policy.rego.reading import Path, shortest
from policy.rego.values import EvaluationError, from_python
from tests.conformance.opa import oracle
from tests.policy.changing import Documents, changed, unaffected

CHANGES = 50  # of the documents of one answer
EXAMPLES = 500 if os.environ.get("PORTCULLIS_PROVE") else 10  # of each test
POLICIES = 200  # of OPA's suite
NOW, LATER = 1_800_000_000 * 10**9, 1_900_000_000 * 10**9
ACCESS = "portcullis/access/decision"

Explained = Callable[[Documents, int], tuple[str, Iterable[Path]]]  # an answer's text, and what it depended on


@cache
def starter() -> Explained:
    program = compile_program(read_bundle().sources, [ACCESS])
    evaluate = program.evaluator(ACCESS)

    def explained(documents: Documents, now: int) -> tuple[str, Iterable[Path]]:
        try:
            value, trace = evaluate(documents["input"], documents["data"], now, None)
        except EvaluationError as error:
            return error.code, (("input",), ("data",))
        return repr(value), program.reading(trace).paths()

    return explained


@cache
def bank_documents() -> list[Documents]:
    data = bank.document(100)
    return [{"input": from_python(access_input(one)), "data": data} for _, one in requests.requests(100, 200)]


@cache
def suite() -> list[tuple[Explained, Documents]]:
    """Policies of OPA's suite that answer something, and read something."""
    cases = [case for case in oracle.suite() if case.plan and case.want_result and (case.data or case.input)]
    random.Random(4).shuffle(cases)
    found = (one for case in cases for one in _compiled(case))
    return [one for one, _ in zip(found, range(POLICIES), strict=False)]


def _compiled(case: oracle.Case) -> Iterator[tuple[Explained, Documents]]:
    try:
        program = compile_plan(case.plan, dialect="opa")
    except PolicyError:
        return  # it needs what is refused by design

    def explained(documents: Documents, now: int) -> tuple[str, Iterable[Path]]:
        try:
            results, reading = program.explained("eval", documents["input"], documents["data"], now)
        except EvaluationError as error:
            return error.code, (("input",), ("data",))
        return repr(results), reading.paths()

    documents = {"input": case.input, "data": case.data}
    if any(explained(documents, NOW)[1]):
        yield explained, documents


def check(explained: Explained, documents: Documents, chance: random.Random) -> int:
    """Make changes; how many of them were of what the answer does not depend on."""
    answer, paths = explained(documents, NOW)
    paths = list(paths)
    outside = 0
    for _ in range(CHANGES):
        after = changed(documents, chance, paths)
        if unaffected(documents, after, paths):
            outside += after is not documents
            now = NOW if any(path[0] not in documents for path in paths) else LATER
            assert explained(after, now)[0] == answer, f"{paths}\nbefore: {documents}\nafter: {after}"
    return outside


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 199), st.integers())
def test_starter_policy_depends_on_what_it_says(which: int, seed: int) -> None:
    check(starter(), bank_documents()[which], random.Random(seed))


@pytest.mark.skipif(not oracle.PLANNER.exists(), reason="needs opa")
@settings(max_examples=EXAMPLES)
@given(st.integers(0, POLICIES - 1), st.integers())
def test_policies_of_the_suite_depend_on_what_they_say(which: int, seed: int) -> None:
    check(*suite()[which], random.Random(seed))


def test_most_of_a_bank_does_not_matter_to_an_answer() -> None:
    documents = bank_documents()[0]
    assert check(starter(), documents, random.Random(1)) > CHANGES / 4
    assert len([*starter()(documents, NOW)[1]]) < 25


@pytest.mark.parametrize(
    ("rule", "want"),
    [
        ("p if input.a.b == data.owners[input.c]", {"input.a.b", "input.c", "data.owners.k"}),
        ("p if q\nq if input.a.b", {"input.a.b"}),
        ("f(x) if x.y\np if f(input.a)", {"input.a.y"}),
        ("f(x) if x.y\np if f(input.a)\nq if f(input.b)", {"input.a.y"}),
        ("p if some r in input.roles", {"input.roles"}),
        ("p if time.now_ns() > 1", {"time.now_ns"}),
        ("p := 1", set()),
        ("p if input.a.b == 2\np if input.z", {"input.a.b", "input.z"}),
        ("p if {\n\tinput.c == 5\n\tinput.z\n}", {"input.c"}),
        ("p if {\n\tnot input.z\n\tinput.a\n}", {"input.z", "input.a"}),
        ("p if input.z.deep.er", {"input.z"}),
        (
            "q if data.owners[input.c]\np if {\n\tx := input.a.b\n\tq with input.c as x\n}",
            {"input.a.b", "input.c", "data.owners[1]"},
        ),
    ],
)
def test_reads(rule: str, want: set[str]) -> None:
    program = compile_program({"a.rego": f"package a\n{rule}\n"}, ["a/p"])
    document, data = {"a": {"b": 1, "x": 2}, "c": "k", "roles": ["r"]}, {"owners": {"k": 1}}
    _, trace = program.evaluator("a/p")(document, data, 5, None)
    assert {str(path) for path in map(_text, shortest(program.reading(trace).paths()))} == want


def _text(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def test_an_absent_input_is_depended_on() -> None:
    program = compile_program({"a.rego": "package a\np if not input.x\n"}, ["a/p"])
    value, trace = program.evaluator("a/p")(UNDEFINED, {}, 5, None)
    read: Any = program.reading(trace).paths()
    assert (value, read) == (True, {("input", "x")})
