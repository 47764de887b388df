"""Runs generated Python: what it defines becomes the rules of a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from policy.problem import PolicyError, Problem
from policy.rego.cache import cached
from policy.rego.compiler import Source
from policy.rego.dynamic import Lookup, exact, extent
from policy.rego.limits import STRIDE, Limits
from policy.rego.memory import WAITING, Memory
from policy.rego.plan import Plan
from policy.rego.reading import Trace
from policy.rego.runtime import NAMES, Rule
from policy.rego.values import UNDEFINED, EvaluationError


@dataclass(frozen=True, slots=True)
class Loaded:
    """Functions of a program."""

    memory: Callable[..., Memory]  # makes the memory of any evaluation
    entries: Mapping[str, Callable[..., tuple[Any, Trace]]]  # by entry point, see policy/rego/compiler/prelude.py
    queries: Mapping[str, Rule]  # by entry point: its whole result set
    extent: Lookup  # what lies at any path


class _NoValue(Exception):
    """A rule that reads no document fails, whatever it is asked."""

    def __init__(self, rule: str, why: str):
        super().__init__(why)
        self.rule = rule


def load(
    plan: Plan,
    write: Callable[[frozenset[str]], Source],
    builtins: Mapping[str, Callable[..., Any]],
    limits: Limits,
) -> tuple[Source, Loaded, dict[str, str]]:
    """Write and run the source of a plan; `write` is told which rules fail whatever they are asked. Those come last,
    with why; they fail when they are asked for, no sooner. Raises PolicyError.
    """
    failing: dict[str, str] = {}
    while True:
        source = write(frozenset(failing))
        try:
            return source, _loaded(plan, source, builtins, limits), failing
        except _NoValue as error:
            failing[error.rule] = str(error)


def _loaded(plan: Plan, source: Source, builtins: Mapping[str, Callable[..., Any]], limits: Limits) -> Loaded:
    missing = sorted(rego for rego in source.builtins.values() if rego not in builtins)
    if missing:
        raise PolicyError([Problem("", 0, 0, f"builtin {name} is not supported") for name in missing])
    names: dict[str, Any] = {
        **NAMES,
        **source.constants,
        "WAITING": (WAITING,) * (len(source.slots) + source.indexed_now),
    }
    names |= {"LIMITS": limits, "STEPS": min(STRIDE, limits.steps)}
    names |= {python: builtins[rego] for python, rego in source.builtins.items()}
    for function in source.functions:  # one by one: nobody else runs while Python compiles a text
        exec(_code(function), names)  # noqa: S102 - our own text: names are made safe, constants are literals
    rules = {path: names[python] for path, python in source.paths.items()}
    below = {path[1:]: rule for path, rule in rules.items() if path[0] == "g0"}
    names["dynamic"] = exact(rules) if plan.dialect == "opa" else extent(below)
    names["cached"] = cached(names["memory"])
    for name in source.fixed:
        names[f"fixed_{source.names[name]}"] = _value(name, names[source.names[name]], names["memory"])
    return Loaded(
        names["memory"],
        {name: names[f"entry_{source.names[name]}"] for name in plan.queries},
        {name: names[source.names[name]] for name in plan.queries},
        extent(below),
    )


def _code(text: str) -> CodeType:
    try:
        return compile(text, "<policy>", "exec")
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise PolicyError([Problem("", 0, 0, f"the policy is nested too deeply: {error}")]) from error


def _value(name: str, rule: Rule, memory: Callable[..., Memory]) -> Any:
    try:
        return rule(UNDEFINED, UNDEFINED, memory(UNDEFINED, UNDEFINED, 0, [], None, 0, None, None))
    except EvaluationError as error:
        raise _NoValue(name, str(error)) from error
