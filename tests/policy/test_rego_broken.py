"""Whatever `opa check` refuses, less faults of type, is refused by us alone, with its place; nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from policy import PolicyError, Problem, read_bundle
from policy.rego import compile_program
from policy.rego.builtins import ARITIES
from policy.rego.builtins.outside import REFUSED
from policy.rego.check import checked
from policy.rego.planning import planned
from policy.rego.verify import verify
from tests.policy.real_opa import opa_binary

Case = dict[str, Any]
HERE = Path(__file__).parent


def cases(folder: str) -> list[Case]:
    return [
        {"kind": file.stem, **case}
        for file in sorted((HERE / folder).glob("*.yaml"))
        for case in yaml.safe_load(file.read_text())
    ]


BROKEN, ACCEPTED = cases("broken"), cases("accepted")


def names(found: list[Case]) -> list[str]:
    return [f"{case['kind']}: {case['note']}" for case in found]


def modules(case: Case) -> dict[str, str]:
    return {f"rules/m{index}.rego": text for index, text in enumerate(case.get("modules") or [case["module"]])}


def opa_finds(case: Case, folder: Path) -> set[tuple[str, int]]:
    """Files and lines of what `opa check` refuses."""
    for name, text in modules(case).items():
        (folder / Path(name).name).write_text(text)
    done = subprocess.run([opa_binary(), "check", "--format", "json", folder], capture_output=True, check=False)
    found = json.loads(done.stderr or done.stdout)["errors"] if done.returncode else []
    places = (error.get("location") or {} for error in found)
    return {(f"rules/{Path(place.get('file', '')).name}", place.get("row", 0)) for place in places}


@pytest.mark.parametrize("case", BROKEN, ids=names(BROKEN))
def test_refused_at_its_place(case: Case) -> None:
    with pytest.raises(PolicyError) as refusal:
        compile_program(modules(case), ["a/p"])
    first = refusal.value.problems[0]
    assert f"{first.file}:{first.line}:{first.column}" == f"rules/{case['at']}"
    assert len(first.message) > len("what to do")


def test_opa_refuses_each_of_them_and_takes_each_of_the_others(tmp_path: Path) -> None:
    opa_binary()

    def judged(case: Case) -> bool:
        folder = tmp_path / f"{case['kind']}-{case['note']}".replace("/", "-").replace("\0", "")
        folder.mkdir()
        return bool(opa_finds(case, folder))

    with ThreadPoolExecutor(os.cpu_count()) as several:
        refused = list(several.map(judged, BROKEN))
        taken = list(several.map(judged, ACCEPTED))
    assert [name for name, found in zip(names(BROKEN), refused, strict=True) if not found] == []
    assert [name for name, found in zip(names(ACCEPTED), taken, strict=True) if found] == []
    assert len(BROKEN) >= 200


@pytest.mark.parametrize("case", ACCEPTED, ids=names(ACCEPTED))
def test_good_policies_are_taken(case: Case) -> None:
    checked(modules(case), ARITIES, REFUSED)


PLANNED = [case for case in ACCEPTED if "regopy" not in case][::4]  # a quarter: each takes a process


@pytest.mark.parametrize("case", PLANNED, ids=names(PLANNED))
def test_good_policies_are_planned(case: Case) -> None:
    compile_program(modules(case), ["a/p"])


@pytest.mark.parametrize("case", ACCEPTED, ids=names(ACCEPTED))
def test_opa_plans_them_too(case: Case) -> None:
    plan = planned(modules(case), ["a/p", "a/nothing"], opa=opa_binary())
    assert verify(plan, modules(case), ARITIES) == []
    assert set(plan.queries) == {"a/p", "a/nothing"}
    assert {file for file in plan.files if file.endswith(".rego")} <= modules(case).keys()


def test_what_opa_does_not_plan_has_its_place() -> None:
    with pytest.raises(PolicyError, match=r"^rules/bad\.rego:3:6: opa check: var x is unsafe"):
        planned({"rules/bad.rego": "package a\n\np if x == 1"}, ["a/p"], opa=opa_binary())


def test_newest_forms_are_planned_by_opa() -> None:
    source = "package a\n\nimport future.keywords.or\n\np if input.x or input.y"
    assert planned({"a.rego": source}, ["a/p"], opa=opa_binary()).functions


def test_a_policy_of_functions_alone_is_planned_by_opa() -> None:
    plan = planned({"a.rego": "package a\n\nf(x) := x"}, ["a/p"], opa=opa_binary())
    assert set(plan.queries) == {"a/p"}


def test_an_opa_that_does_not_run_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="did not run"):
        planned({"a.rego": "package a\n\np := 1"}, ["a/p"], opa=tmp_path / "opa")


def test_starter_policy_is_taken() -> None:
    checked(read_bundle().sources, ARITIES, REFUSED)


NEWEST = {
    "or": ("import future.keywords.or\n\np if input.x or input.y", 5, 14),
    "and": ("import future.keywords\n\np if {\n\tinput.x and input.y\n}", 6, 10),
    "not": ("import future.keywords.not\n\np if not { input.x; input.y }", 5, 6),
    "version": ("import rego.v2\n\np := 1", 3, 8),
}


@pytest.mark.parametrize("name", NEWEST)
def test_newest_forms_are_left_to_opa(name: str) -> None:
    """They may be good: what refuses them says who can read them."""
    body, line, column = NEWEST[name]
    with pytest.raises(PolicyError, match=r"policy\.frontend: opa") as refusal:
        compile_program({"a.rego": f"package a\n\n{body}\n"}, ["a/p"])
    assert [(one.line, one.column) for one in refusal.value.problems] == [(line, column)]


@pytest.mark.parametrize(
    "text",
    [
        "p := " + "[" * 5000,
        "p := " + "[" * 5000 + "]" * 5000,
        "p := " + "f(" * 3000 + "1" + ")" * 3000,
        "p := " + "1 + " * 5000 + "1",
        "p := " + "{1 | " * 500 + "true" + "}" * 500,
        "p := " + "[a|a," * 30,
        "p if " + "not " * 5000 + "x",
        "p if {\n" + "\n".join(f"x{at} = x{at + 1}" for at in range(300)) + "\n}",
        "p := input" + ".x" * 50_000,
        "p := input" + "[0](1)" * 3000,
        "p if x" + " with input as 1" * 2000,
        "p if true" + " else := 1 if false" * 2000,
        'p := $"' + "{$'" * 100,
        'p := "' + "\\" * 99_999,
    ],
    ids=lambda text: text[:20],
)
def test_monstrous_policies_are_refused_in_time(text: str) -> None:
    problem = first_problem(f"package a\n\n{text}\n")
    assert problem is None or problem.line > 0


def first_problem(text: str) -> Problem | None:
    try:
        checked({"a.rego": text}, ARITIES, REFUSED)
    except PolicyError as error:
        return error.problems[0]
    return None


SEEDS = st.sampled_from([text for case in (*BROKEN, *ACCEPTED) for text in modules(case).values()])


@settings(max_examples=300)
@given(SEEDS, SEEDS, st.integers(0, 200), st.integers(0, 200))
def test_any_text_is_taken_or_refused(one: str, other: str, at: int, until: int) -> None:
    problem = first_problem(one[:at] + other[until:])
    assert problem is None or problem.file == "a.rego"
