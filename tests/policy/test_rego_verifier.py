"""What regopy plans without a word, or dies of, is refused with its place."""

from __future__ import annotations

import pytest

from policy import PolicyError
from policy.rego import compile_program

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
    "unknown function": ("p if nonsense(1)", 3, 6, "unknown function nonsense"),
    "function of another package": ("p if data.x.f(1)", 3, 6, "unknown function data.x.f"),
    "builtin that is not there": ('p := http.send({"url": "x"})', 3, 6, "builtin http.send is not supported"),
    "wrong number of arguments": ("f(x) := x\n\np := f(1, 2)", 5, 6, "data.a.f takes 1 arguments, not 2"),
    "syntax": ("p if input.x = = 1", 3, 14, "Invalid assignment operator"),
    "unclosed": ("p := {\n", 3, 6, "unclosed"),
    "rule that contradicts itself": ("p := 1\n\np := 2", 3, 1, "two values"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    body, line, column, message = CASES[name]
    with pytest.raises(PolicyError) as refusal:
        compile_program({"fine.rego": "package b\nq := 1", "rules/bad.rego": f"package a\n\n{body}\n"}, ["a/p"])
    places = {(one.file, one.line, one.column) for one in refusal.value.problems if message in one.message}
    assert ("rules/bad.rego", line, column) in places, refusal.value
    assert f"rules/bad.rego:{line}:{column}: " in str(refusal.value)


def test_a_policy_that_kills_the_front_end_is_refused() -> None:
    """regopy aborts its process on this one, sometimes."""
    with pytest.raises(PolicyError):
        compile_program({"a.rego": "package a\nf(x) := 1\nf(x, y) := 2\np := f(1)"}, ["a/p"])


def test_same_file_name_in_two_folders() -> None:
    modules = {"x/rules.rego": "package a\np := data.b.q", "y/rules.rego": "package b\nq := 1"}
    assert compile_program(modules, ["a/p"]).evaluate("a/p", {}, {}) == 1


def test_deep_nesting_is_refused_not_fatal() -> None:
    loops = "\n".join(f"\tsome x{at + 1} in x{at}" for at in range(30))
    with pytest.raises(PolicyError, match="nested too deeply"):
        compile_program({"a.rego": f"package a\np if {{\n\tx0 := input.x\n{loops}\n}}"}, ["a/p"])
