"""OPA and the compiler on the same random policies: both must find the same values, written the same, or the same error."""

from __future__ import annotations

from typing import Any

from policy.problem import PolicyError
from policy.rego import json_text
from policy.rego.program import compile_plan
from policy.rego.values import UNDEFINED, EvaluationError, equal
from tests.conformance.opa.oracle import Answer, Oracle, json_values
from tests.conformance.opa.policies import Policy
from tests.conformance.opa.suite import same_error

Found = list[dict[str, Any]] | str  # bindings, or the code of an error


def difference(policy: Policy, oracle: Oracle) -> str:
    """What OPA and the compiler do not agree on, "" if nothing, "invalid" if OPA refuses the policy."""
    answer = oracle.ask(policy.modules, policy.query, policy.data, policy.input, strict=policy.strict)
    if answer.error == "invalid":
        return "invalid"
    found = evaluated(policy, answer)
    want: Found = answer.error or answer.result
    if _same(want, found):
        return ""
    return f"{policy}\n\nOPA:  {_shown(want)} {answer.message}\nours: {_shown(found)}"


def evaluated(policy: Policy, answer: Answer) -> Found:
    """What the compiler makes of OPA's plan."""
    given = json_values(policy.input) if policy.input else UNDEFINED
    try:
        program = compile_plan(answer.plan or {}, dialect="opa", strict=policy.strict)
        return program.results("eval", given, json_values(policy.data))
    except EvaluationError as error:
        return error.code
    except PolicyError as error:
        return f"refused: {error}"


def _same(want: Found, found: Found) -> bool:
    if isinstance(want, str) or isinstance(found, str):
        return isinstance(want, str) and isinstance(found, str) and same_error(want, found)
    want, found = sorted(want, key=json_text.encode), sorted(found, key=json_text.encode)
    return equal(want, found) and json_text.encode(want) == json_text.encode(found)


def _shown(found: Found) -> str:
    return found if isinstance(found, str) else repr(found)
