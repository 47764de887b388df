"""What a policy is made of and what it would answer, for people who read and write policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import msgspec

from policy.bundles import Bundle
from policy.rego import UNDEFINED, compile_program
from policy.rego.analysis import data_rules, fixed_rules
from policy.rego.depends import depends
from policy.rego.plan import Function, Plan, statements
from policy.rego.planning import planned
from policy.rego.reading import shortest, shown
from policy.rego.simplify import simplify
from policy.rego.values import from_python
from policy.rego.verify import place
from policy.revision import ENTRYPOINTS

NANOSECONDS = 1_000_000_000

Evaluated = Literal["at load", "on change of data", "on each decision"]


class Rule(msgspec.Struct, frozen=True):
    """A rule or function, with the documents' paths and impure builtins that it may read, by way of others too."""

    rule: str
    file: str
    line: int
    evaluated: Evaluated
    depends: tuple[str, ...]


class Evaluation(msgspec.Struct, frozen=True):
    """A value, `UNDEFINED` where there is none, and the paths of the documents that were read for it."""

    value: Any
    depends: tuple[str, ...]


def rules_of(bundle: Bundle) -> list[Rule]:
    """Every rule of a bundle that compiles, by file and line. Raises PolicyError."""
    plan = planned(bundle.sources, ENTRYPOINTS)
    plan = replace(plan, functions={name: simplify(function) for name, function in plan.functions.items()})
    fixed = fixed_rules(plan)
    kept = data_rules(plan, tuple(fixed))
    found = [_rule(plan, function, _evaluated(function, fixed, kept)) for function in plan.functions.values()]
    return sorted(found, key=lambda one: (one.file, one.line, one.rule))


def evaluate(bundle: Bundle, path: Sequence[str], document: Any, now: float) -> Evaluation:
    """What a bundle has at a path below `data`, for a decoded input (or `UNDEFINED`) at a Unix time. Raises
    PolicyError, EvaluationError, and TypeError for what is no JSON.
    """
    entrypoint = "/".join(path)
    program = compile_program(bundle.sources, (entrypoint,))
    given = UNDEFINED if document is UNDEFINED else from_python(document)
    value, trace = program.evaluator(entrypoint)(given, from_python(bundle.data), int(now * NANOSECONDS), None)
    return Evaluation(value, tuple(sorted(map(shown, shortest(program.reading(trace).paths())))))


def _rule(plan: Plan, function: Function, evaluated: Evaluated) -> Rule:
    at = next((place(plan, function, one) for one in statements(function.blocks) if one.at.line), ("", 0, 0))
    return Rule(function.title, at[0], at[1], evaluated, tuple(map(shown, depends(plan, function))))


def _evaluated(function: Function, fixed: Sequence[str], kept: Sequence[str]) -> Evaluated:
    if function.name in fixed:
        return "at load"
    return "on change of data" if function.name in kept else "on each decision"
