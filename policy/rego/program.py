"""A program is a policy compiled: what a process holds and evaluates. Building one takes milliseconds to seconds and
belongs in a thread; evaluating it takes microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any

from policy.problem import PolicyError, Problem
from policy.rego.builtins import ARITIES, BUILTINS
from policy.rego.compiler import Source, write_source
from policy.rego.decode import Dialect, InvalidPlan, UnsupportedStatement, read_plan
from policy.rego.depends import depends
from policy.rego.dynamic import Rule, dynamic
from policy.rego.plan import Plan
from policy.rego.planning import planned
from policy.rego.simplify import simplify
from policy.rego.values import (
    UNDEFINED,
    EvaluationError,
    RegoSet,
    dot,
    equal,
    inserted_once,
    key,
    merged,
    scan,
    upserted,
)
from policy.rego.verify import verify

_WAITING = object()


class Program:
    """Compiled entry points. Immutable; threads may share it."""

    def __init__(self, plan: Plan, source: Source, rules: Mapping[str, Rule], queries: Mapping[str, Rule]):
        self.source = source.text
        self.depends = {name: depends(plan, query) for name, query in plan.queries.items()}
        self._rules = dict(rules)
        self._queries = dict(queries)
        self._present = {"/".join(function.path[1:]) for function in plan.functions.values()}
        self._memory = [_WAITING] * len(source.slots)

    def has_rule(self, entrypoint: str) -> bool:
        """Whether some module has a rule of this name; without one the entry point is undefined."""
        return entrypoint in self._present

    def rule(self, entrypoint: str) -> Callable[[Any, Any, int], Any]:
        """The function behind an entry point, of input, data and nanoseconds since 1970; see `evaluate`."""
        rule, memory = self._rules[entrypoint], self._memory
        return lambda document, data, now: rule(document, data, [now, *memory])

    def results(self, query: str, document: Any, data: Any, now: int = 0) -> list[Any]:
        """The whole result set of a query: its bindings by name, one object a result. Raises as `evaluate` does."""
        found: list[Any] = self._queries[query](document, data, [now, *self._memory])
        return found

    def evaluate(self, entrypoint: str, document: Any, data: Any, now: int = 0) -> Any:
        """Value of an entry point ("portcullis/access/decision") for an input document, or `UNDEFINED`.

        Raises EvaluationError where the policy contradicts itself, KeyError if there is no such entry point.
        """
        return self._rules[entrypoint](document, data, [now, *self._memory])


def compile_program(sources: Mapping[str, str], entrypoints: Sequence[str]) -> Program:
    """Plan, verify and compile Rego modules, by file name. Raises PolicyError."""
    plan = planned(sources, entrypoints)
    problems = verify(plan, sources, ARITIES)
    if problems:
        raise PolicyError(problems)
    return _compiled(plan)


def compile_plan(document: Mapping[str, Any], *, dialect: Dialect) -> Program:
    """Compile OPA's intermediate representation as it is, not verified. Raises PolicyError."""
    try:
        return _compiled(read_plan(document, dialect))
    except (InvalidPlan, UnsupportedStatement) as error:
        raise PolicyError([Problem("", 0, 0, str(error))]) from error


def _compiled(plan: Plan) -> Program:
    short = {name: simplify(function) for name, function in plan.functions.items()}
    queries = {name: simplify(function) for name, function in plan.queries.items()}
    plan = Plan(short, queries, plan.builtins, plan.files)
    source = write_source(plan)
    return Program(plan, source, *_loaded(plan, source))


def _loaded(plan: Plan, source: Source) -> tuple[dict[str, Rule], dict[str, Rule]]:
    """Run the generated source; the rule behind each entry point, and the query."""
    names: dict[str, Any] = {
        "U": UNDEFINED,
        "W": _WAITING,
        "RegoSet": RegoSet,
        "dot": dot,
        "equal": equal,
        "key": key,
        "inserted_once": inserted_once,
        "merged": merged,
        "scan": scan,
        "upserted": upserted,
        "once": _once,
        "length": _length,
        **source.constants,
        **{python: BUILTINS[rego] for python, rego in source.builtins.items()},
    }
    exec(_code(source.text), names)  # noqa: S102 - our own text: names are made safe, constants are literals
    names["dynamic"] = dynamic({path: names[python] for path, python in source.paths.items()})
    for name in source.fixed:
        names[f"fixed_{source.names[name]}"] = _value(plan, name, names[source.names[name]], len(source.slots))
    rules = {name: _entry(plan, source, names, name) for name in plan.queries}
    return rules, {name: names[source.names[name]] for name in plan.queries}


def _code(text: str) -> CodeType:
    try:
        return compile(text, "<policy>", "exec")
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise PolicyError([Problem("", 0, 0, f"the policy is nested too deeply: {error}")]) from error


def _value(plan: Plan, name: str, rule: Rule, slots: int) -> Any:
    try:
        return rule(UNDEFINED, UNDEFINED, [0, *[_WAITING] * slots])
    except Exception as error:
        function = plan.functions[name]
        at = next((one.at for block in function.blocks for one in block.statements if one.at.line), None)
        file = plan.files[at.file] if at else ""
        raise PolicyError([Problem(file, at.line if at else 0, at.column if at else 0, str(error))]) from error


def _entry(plan: Plan, source: Source, names: Mapping[str, Any], entrypoint: str) -> Rule:
    """The rule itself where the entry point is one, which saves making a result set of it."""
    name = "g0.data." + entrypoint.replace("/", ".")
    if name in source.fixed:
        value = names[f"fixed_{source.names[name]}"]
        return lambda *_: value
    if name in plan.functions:
        rule: Rule = names[source.names[name]]
        return rule
    query = names[source.names[entrypoint]]
    return lambda document, data, memory: _result(query(document, data, memory))


def _result(results: list[Any]) -> Any:
    return results[0]["result"] if results else UNDEFINED


def _once(before: Any, value: Any) -> Any:
    if before is not UNDEFINED and not equal(before, value):
        raise EvaluationError("a complete rule or function has two values")
    return value


def _length(value: Any) -> Any:
    return len(value) if type(value) in (str, list, dict, RegoSet) else UNDEFINED
