"""`rego.parse_module`: a module of Rego as data, in the shape in which OPA writes its syntax trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.rego.builtins.modules.writer import Writer
from policy.rego.builtins.partial import string, undefined_on
from policy.rego.syntax import Malformed, parse
from policy.rego.values import from_python

MAX_TEXT = 50_000  # characters of a module; more are undefined


@undefined_on(ValueError, TypeError, Malformed)
def parse_module(file: Any, text: Any) -> Any:
    """The module that a text is; undefined if it is none, and where its tree is deeper than a document may be."""
    if len(string(text)) > MAX_TEXT:
        raise ValueError("too long")
    return from_python(Writer(parse(string(file), text)).module())


BUILTINS: dict[str, Callable[..., Any]] = {"rego.parse_module": parse_module}
