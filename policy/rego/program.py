"""A program is a policy compiled: what a process holds and evaluates. Building one takes milliseconds to seconds and
belongs in a thread; evaluating it takes microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from policy.problem import PolicyError, Problem
from policy.rego.builtins import ARITIES, BUILTINS
from policy.rego.builtins.outside import Outside
from policy.rego.cache import DataCache
from policy.rego.compiler import Source, write_source
from policy.rego.decode import InvalidPlan, UnsupportedStatement, read_plan
from policy.rego.depends import depends
from policy.rego.inline import inlined
from policy.rego.limits import STRIDE, Limits
from policy.rego.loading import Loaded, load
from policy.rego.memory import Memory
from policy.rego.plan import Dialect, Place, Plan, statements
from policy.rego.planning import planned
from policy.rego.reading import Reading, Trace
from policy.rego.simplify import simplify
from policy.rego.verify import verify

Evaluator = Callable[[Any, Any, int, list[Any] | None], tuple[Any, Trace]]


class Program:
    """Compiled entry points. Immutable; threads may share it."""

    def __init__(self, plan: Plan, source: Source, loaded: Loaded, limits: Limits):
        self.source = source.text
        self.depends = {name: depends(plan, query) for name, query in plan.queries.items()}
        self.rules = tuple(sorted({function.path[1:] for function in plan.functions.values()}))  # paths below `data`
        self._present = {"/".join(function.path[1:]) for function in plan.functions.values()}
        self._loaded = loaded
        self._limits = limits
        self._sets = tuple(source.reads)
        self._cached = len(source.cached) + len(source.indexes)
        self._held = tuple(path for _, path in source.of_data)

    def has_rule(self, entrypoint: str) -> bool:
        """Whether some module has a rule of this name; without one the entry point is undefined."""
        return entrypoint in self._present

    def cache(self) -> DataCache:
        """A cache for the rules that read data alone, over one document."""
        return DataCache(self._cached, self._sets, self._held)

    def evaluator(self, entrypoint: str) -> Evaluator:
        """The function behind an entry point, of input, data, nanoseconds since 1970 and the entries of a cache: its
        value and the trace of what it read; see `evaluate`.
        """
        return self._loaded.entries[entrypoint]

    def reading(self, trace: Trace) -> Reading:
        """What a trace stands for."""
        return Reading(self._sets, trace)

    def evaluate(self, entrypoint: str, document: Any, data: Any, now: int = 0) -> Any:
        """Value of an entry point ("portcullis/access/decision") for an input document, or `UNDEFINED`.

        Raises EvaluationError where the policy contradicts itself or goes beyond its limits, KeyError if there is no
        such entry point.
        """
        return self.evaluator(entrypoint)(document, data, now, None)[0]

    def explained(self, query: str, document: Any, data: Any, now: int = 0) -> tuple[list[Any], Reading]:
        """The whole result set of a query, its bindings by name, one object a result; and what was read for it. Raises
        as `evaluate` does.
        """
        trace: Trace = []
        memory = self._memory(document, data, now, trace)
        return self._loaded.queries[query](document, data, memory), self.reading(trace)

    def results(self, query: str, document: Any, data: Any, now: int = 0) -> list[Any]:
        """The result set alone."""
        return self.explained(query, document, data, now)[0]

    def at(self, path: Sequence[Any], document: Any, data: Any, now: int = 0) -> Any:
        """What lies at a path below `data`: a rule's value, a package as an object, base documents, or `UNDEFINED`.

        Raises as `evaluate` does.
        """
        return self._loaded.extent(("data", *path), document, data, self._memory(document, data, now, []))

    def _memory(self, document: Any, data: Any, now: int, trace: Trace) -> Memory:
        steps = min(STRIDE, self._limits.steps)
        memory: Memory = self._loaded.memory(document, data, now, trace, None, steps, self._limits, None)
        return memory


def compile_program(
    sources: Mapping[str, str],
    entrypoints: Sequence[str],
    *,
    opa: Path | None = None,
    strict: bool = False,
    limits: Limits | None = None,
    outside: Outside | None = None,
    hot: Collection[str] | None = None,
) -> Program:
    """Plan, verify and compile Rego modules, by file name. `hot`: the entry points whose speed counts (None: all); the
    others are compiled sooner. `opa`: OPA's binary, where it is to plan. `strict`: an
    error of a builtin ends the evaluation, where it otherwise is undefined. Raises PolicyError.
    """
    added = (outside or Outside()).builtins()
    arities = {**ARITIES, **{name: function.__code__.co_argcount for name, function in added.items()}}
    plan = planned(sources, entrypoints, builtins=arities, opa=opa)
    problems = verify(plan, sources, arities)
    if problems:
        raise PolicyError(problems)
    program, failing = _compiled(plan, sources, strict, limits or Limits(), {**BUILTINS, **added}, hot)
    if failing:
        raise PolicyError([_always_fails(plan, name, why) for name, why in failing.items()])
    return program


def compile_plan(
    document: Mapping[str, Any],
    *,
    dialect: Dialect,
    sources: Mapping[str, str] | None = None,
    strict: bool = False,
    limits: Limits | None = None,
    outside: Outside | None = None,
) -> Program:
    """Compile OPA's intermediate representation as it is, not verified. Raises PolicyError."""
    try:
        plan = read_plan(document, dialect)
    except (InvalidPlan, UnsupportedStatement) as error:
        raise PolicyError([Problem("", 0, 0, str(error))]) from error
    builtins = {**BUILTINS, **(outside or Outside()).builtins()}
    return _compiled(plan, sources or {}, strict, limits or Limits(), builtins)[0]


def _compiled(
    plan: Plan,
    sources: Mapping[str, str],
    strict: bool,
    limits: Limits,
    builtins: Mapping[str, Callable[..., Any]],
    hot: Collection[str] | None = None,
) -> tuple[Program, dict[str, str]]:
    short = {name: simplify(function) for name, function in plan.functions.items()}
    queries = {name: simplify(function) for name, function in plan.queries.items()}
    plan = inlined(Plan(short, queries, plan.builtins, plan.files, plan.dialect), hot)

    def write(failing: frozenset[str]) -> Source:
        return write_source(plan, sources, strict=strict, failing=failing)

    source, loaded, failing = load(plan, write, builtins, limits)
    return Program(plan, source, loaded, limits), failing


def _always_fails(plan: Plan, name: str, why: str) -> Problem:
    everything = statements(plan.functions[name].blocks)
    at = next((one.at for one in everything if one.at.line), Place())
    return Problem(plan.files[at.file] if at.line else "", at.line, at.column, why)
