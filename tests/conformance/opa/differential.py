"""OPA and the compiler on the same random policies: both must find the same values, written the same, or one error.

Where they do not, a plain interpreter of OPA's plan says who of the two departs from the plan. OPA's own engine, which
works on the policy's syntax, sometimes does; the list of what is known has these differences with their reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from policy.rego import json_text
from policy.rego.program import compile_plan
from policy.rego.values import UNDEFINED, BuiltinError, EvaluationError, RegoSet, equal
from tests.conformance.opa import interpreter
from tests.conformance.opa.interpreter import CallFailed
from tests.conformance.opa.known import Departure
from tests.conformance.opa.oracle import Oracle, Outcome, json_values
from tests.conformance.opa.policies import Policy
from tests.conformance.opa.suite import same_error


@dataclass(frozen=True, slots=True)
class Difference:
    """What each makes of a policy."""

    policy: Policy
    engine: Outcome
    plan: Outcome  # as the plain interpreter evaluates it
    ours: Outcome
    mistaken: str = ""  # the call of a builtin that ended the plan's evaluation, and is no error for OPA

    @property
    def is_opas_own(self) -> bool:
        """Whether the compiler does what OPA's plan says."""
        return same(self.plan, self.ours) and not self.mistaken

    def excused(self, known: Sequence[Departure]) -> bool:
        """Whether it is OPA's own, and of a kind that is known."""
        plan = "equal value" if _equal(self.engine, self.plan) else _kind(self.plan)
        return self.is_opas_own and any(one.excuses(_kind(self.engine), plan) for one in known)

    def __str__(self) -> str:
        return f"{self.policy}\nOPA:  {self.engine}\nplan: {self.plan}\nours: {self.ours}\n{self.mistaken}"


def differences(policy: Policy, oracle: Oracle) -> Iterator[Difference]:
    """What OPA and the compiler do not agree on. Raises ValueError if OPA refuses the policy."""
    answer = oracle.ask(policy.modules, policy.query, policy.data, policy.inputs, strict=policy.strict)
    compiled = _compiled(answer.plan, policy.strict)
    for given, engine in zip(policy.inputs, answer.outcomes, strict=True):
        documents = json_values(given) if given else UNDEFINED, json_values(policy.data)
        ours = _outcome(compiled, *documents)
        if not same(engine, ours):
            plan = _outcome(interpreter.results, answer.plan, *documents, policy.strict)
            failed = _failed_call(answer.plan, *documents) if plan == BuiltinError.code else ""
            mistaken = failed if failed and not _fails(failed, oracle) else ""
            yield Difference(replace(policy, inputs=(given,)), engine, plan, ours, mistaken)


def _failed_call(plan: Mapping[str, Any], given: Any, data: Any) -> str:
    """The call of a builtin, as Rego, that ends the evaluation of a plan where errors are strict."""
    try:
        interpreter.results(plan, given, data, strict=True)
    except CallFailed as failed:
        return failed.call
    return ""


def _fails(call: str, oracle: Oracle) -> bool:
    (outcome,) = oracle.ask([f"package test\np := {call}"], "data.test.p = x", "{}", [""], strict=True).outcomes
    return isinstance(outcome, str)


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two findings are equal, numbers by their texts, and kinds of errors of builtins by being errors."""
    if isinstance(one, str) and isinstance(other, str):
        return same_error(one, other)
    return _equal(one, other) and sorted(map(json_text.encode, one)) == sorted(map(json_text.encode, other))


def _equal(one: Outcome, other: Outcome) -> bool:
    return not isinstance(one, str) and not isinstance(other, str) and equal(RegoSet(one), RegoSet(other))


def _compiled(plan: Mapping[str, Any], strict: bool) -> Callable[[Any, Any], list[dict[str, Any]]]:
    try:
        program = compile_plan(plan, dialect="opa", strict=strict)
    except Exception as error:
        return partial(_raise, error)
    return partial(program.results, "eval")


def _raise(error: Exception, *_: object) -> list[dict[str, Any]]:
    raise error


def _outcome(results: Callable[..., list[dict[str, Any]]], *arguments: Any) -> Outcome:
    try:
        return results(*arguments)
    except EvaluationError as error:
        return error.code
    except Exception as error:
        return f"broke: {error!r}"


def _kind(outcome: Outcome) -> str:
    if isinstance(outcome, str):
        return outcome
    return "value" if outcome else "undefined"
