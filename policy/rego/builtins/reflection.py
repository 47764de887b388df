"""Builtins about policies themselves: tracing, template strings, cases of tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.rego.builtins.partial import undefined_on
from policy.rego.rego_text import MAX_LENGTH, shown
from policy.rego.values import UNDEFINED, EvaluationError, RegoSet


def trace(note: Any) -> Any:
    """`trace(note)`: kept silent, since notes may hold personal data."""
    return True if type(note) is str else UNDEFINED


def test_case(case: Any) -> bool:
    """Marks a case of a test, for those who run tests."""
    return True


@undefined_on(ValueError)
def template_string(parts: Any) -> Any:
    """`$"…{x}…"`: each part is a scalar, or the set of the one value that an expression has, or of none.

    Raises EvaluationError where an expression has several values.
    """
    if type(parts) is not list:
        return UNDEFINED
    text = "".join(map(_part, parts))
    return text if len(text) <= MAX_LENGTH else UNDEFINED


def _part(part: Any) -> str:
    if type(part) is not RegoSet:
        return shown(part)
    if len(part) > 1:
        raise EvaluationError("template-strings must not produce multiple outputs")
    return next(map(shown, part), "<undefined>")


BUILTINS: dict[str, Callable[..., Any]] = {
    "trace": trace,
    "internal.template_string": template_string,
    "internal.test_case": test_case,
}
