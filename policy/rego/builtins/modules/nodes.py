"""Nodes of OPA's syntax tree: `{"type": kind, "value": …}` for each term."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from policy.rego.numerals import number
from policy.rego.syntax.tree import Scalar

Node = dict[str, Any]


def node(kind: str, value: Any) -> Node:
    """A term of a kind."""
    return {"type": kind, "value": value}


def path(names: Iterable[str]) -> Node:
    """A reference by names only, such as a package's or a builtin's."""
    head, *parts = names
    return node("ref", [node("var", head), *(node("string", one) for one in parts)])


def scalar(term: Scalar) -> Node:
    """A constant. Raises ValueError for a number that JSON writes in another way, such as `.5`."""
    if isinstance(term.value, Decimal):
        return node("number", number(term.text))
    if term.value is None:
        return node("null", {})
    return node("boolean" if isinstance(term.value, bool) else "string", term.value)
