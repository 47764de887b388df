"""Runs OPA's cases through the compiler, and compares as OPA's own test runner does: sets are arrays in a result, the
order of results means nothing, and with `sort_bindings` nor does the order of an array. Of an error its code counts,
not its text; a builtin's error of type and of value are one, for a builtin here says only that it has no value.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from policy.problem import PolicyError
from policy.rego.program import compile_plan
from policy.rego.values import UNDEFINED, EvaluationError, RegoSet, equal, ordered, to_python
from tests.conformance.opa.oracle import Case

SECONDS = 10.0  # longest that a case may take
_PLAIN = re.compile(
    r"data((?:\.\w+)+) = (?!input\b|data\b|true\b|false\b|null\b)[a-z]\w*"
)  # a query that an entry point can answer
_BUILTIN_ERRORS = ("eval_builtin_error", "eval_type_error")

Bindings = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a case that was run: what came of it, and whether that is what OPA wants."""

    passed: bool
    got: str


def by_opa(case: Case) -> Outcome:
    """Run the case with OPA's plan."""

    def results() -> Bindings:
        program = compile_plan(case.plan, dialect="opa", strict=case.strict)
        return program.results("eval", case.input, case.data, time.time_ns())

    return judged(case, results)


def by_regopy(case: Case, plan: Mapping[str, Any]) -> Outcome:
    """Run the case with regopy's plan of its entry point."""

    def results() -> Bindings:
        program = compile_plan(plan, dialect="regopy", strict=case.strict)
        value = program.evaluate(entrypoint(case), case.input, case.data, time.time_ns())
        return [] if value is UNDEFINED else [{case.query.rpartition(" ")[2]: value}]

    return judged(case, results)


def entrypoint(case: Case) -> str:
    """The entry point that answers the case's query, or ""."""
    plain = _PLAIN.fullmatch(case.query)
    return plain[1][1:].replace(".", "/") if plain else ""


def builtins(plan: Mapping[str, Any]) -> frozenset[str]:
    """What a plan calls by name."""
    return frozenset(one["name"] for one in plan["static"].get("builtin_funcs") or ())


def judged(case: Case, results: Callable[[], Bindings]) -> Outcome:
    """Whether results are what OPA wants of the case."""
    try:
        with _limited():
            got = results()
    except EvaluationError as error:
        return Outcome(same_error(case.want_error, error.code), f"{error.code}: {error}")
    except PolicyError as error:
        return Outcome(False, f"refused: {error}")
    except Exception as error:
        return Outcome(False, f"broke: {error!r}")
    passed = not case.want_error and _same_results(case, got)
    return Outcome(passed, repr(got))


def same_error(want: str, code: str) -> bool:
    """Whether two codes of errors say the same."""
    return want in ("any", code) or {want, code} <= set(_BUILTIN_ERRORS)


def _same_results(case: Case, got: Bindings) -> bool:
    found = [{name: _json(value, case.sort_bindings) for name, value in one.items()} for one in got]
    return equal(RegoSet(found), RegoSet(case.want_result or ()))


def _json(value: Any, in_order: bool) -> Any:
    made = to_python(value)
    return ordered(made) if in_order and isinstance(made, list) else made


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {SECONDS:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
