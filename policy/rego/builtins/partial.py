"""Builtins that have no value for some arguments, written with exceptions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from policy.rego.values import UNDEFINED

Builtin = Callable[..., Any]


def undefined_on(*errors: type[Exception]) -> Callable[[Builtin], Builtin]:
    """Make a builtin undefined where it raises one of these."""

    def decorated(function: Builtin) -> Builtin:
        @wraps(function)
        def builtin(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except errors:
                return UNDEFINED

        return builtin

    return decorated


def string(value: Any) -> str:
    """The text that an argument is. Raises ValueError."""
    if type(value) is not str:
        raise ValueError("not a string")
    return value


def mapping(value: Any) -> dict[Any, Any]:
    """The object that an argument is. Raises ValueError."""
    if type(value) is not dict:
        raise ValueError("not an object")
    return value
