"""The verifier finds by itself what regopy plans without a word; a front end that breaks off is a refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from policy import PolicyError
from policy.rego import compile_program, regopy_build
from policy.rego.builtins import ARITIES
from policy.rego.decode import read_plan
from policy.rego.plan import Plan
from policy.rego.regopy_build import FRONT
from policy.rego.verify import verify

CASES = {
    "misspelt name under not": ("p if not mistyped_name", 3, 3, "unsafe variable"),
    "unsafe in comparison": ("p if x == 1", 3, 6, "unsafe variable"),
    "unsafe in head": ("p contains x if input.a", 3, 17, "unsafe variable"),
    "unsafe in comprehension": ("p := [x | input.a]", 3, 11, "unsafe variable"),
    "unsafe argument": ('p if startswith(x, "a")', 3, 6, "unsafe variable"),
    "declared and never given": ("p if {\n\tsome x\n\tnot x\n}", 5, 2, "unsafe variable"),
    "assigned twice": ("p if {\n\tx := 1\n\tx := 2\n}", 5, 2, "assigned twice"),
    "recursion": ("p if q\n\nq if p", 5, 6, "recursion: data.a.p -> data.a.q -> data.a.p"),
    "recursion of functions": ("f(x) := f(x)\n\np := f(1)", 3, 9, "recursion: data.a.f -> data.a.f"),
    "unknown function": ("p if nonsense(1)", 3, 6, "builtin nonsense is not supported"),
    "function of another package": ("p if data.x.f(1)", 3, 6, "builtin data.x.f is not supported"),
    "builtin that is not there": ('p := http.send({"url": "x"})', 3, 6, "builtin http.send is refused"),
    "wrong number of arguments": ("f(x) := x\n\np := f(1, 2)", 5, 6, "data.a.f takes 1 arguments, not 2"),
}


def plan_of(body: str) -> tuple[Plan, dict[str, str]]:
    """What regopy makes of a module that nobody checked."""
    sources = {"fine.rego": "package b\nq := 1", "bad.rego": f"package a\n\n{body}\n"}
    asked = json.dumps({"modules": sources, "entrypoints": ["a/p"]}).encode()
    done = subprocess.run([sys.executable, "-I", str(FRONT)], input=asked, capture_output=True, check=True)
    return read_plan(json.loads(done.stdout)["plan"], "regopy"), sources


@pytest.mark.parametrize("name", CASES)
def test_unsafe_plan(name: str) -> None:
    body, line, column, message = CASES[name]
    problems = verify(*plan_of(body), ARITIES)
    assert ("bad.rego", line, column) in {
        (one.file, one.line, one.column) for one in problems if message in one.message
    }


def test_rule_that_contradicts_itself_is_refused_when_it_is_loaded() -> None:
    with pytest.raises(PolicyError, match=r"rules/bad\.rego:3:1: .*two values"):
        compile_program({"rules/bad.rego": "package a\n\np := 1\n\np := 2"}, ["a/p"])


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ("import os\nos.abort()", "broke off"),
        ("print('no JSON')", "broke off"),
        ("while True:\n    pass", "more than 0.2 s"),
        ("import sys\nsys.exit('said last')", "said last"),
    ],
)
def test_a_front_end_that_dies_is_a_refusal(
    front: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """regopy aborts its process on some policies, and goes round in circles on others."""
    (tmp_path / "front.py").write_text(front)
    monkeypatch.setattr(regopy_build, "FRONT", tmp_path / "front.py")
    monkeypatch.setattr(regopy_build, "FRONT_SECONDS", 0.2 if "while" in front else 30.0)
    with pytest.raises(PolicyError, match=message):
        compile_program({"a.rego": "package a\np := 1"}, ["a/p"])


def test_same_file_name_in_two_folders() -> None:
    modules = {"x/rules.rego": "package a\np := data.b.q", "y/rules.rego": "package b\nq := 1"}
    assert compile_program(modules, ["a/p"]).evaluate("a/p", {}, {}) == 1


def test_deep_nesting_is_taken() -> None:
    loops = "\n".join(f"\tsome x{at + 1} in x{at}" for at in range(30))
    program = compile_program({"a.rego": f"package a\np if {{\n\tx0 := input.x\n{loops}\n}}"}, ["a/p"])
    nested: list[object] = []
    for _ in range(30):
        nested = [nested]
    assert program.evaluate("a/p", {"x": nested}, {}) is True
