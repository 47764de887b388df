"""The order in which OPA keeps terms of a set and keys of an object that may hold variables.

A node's `_form` is a Rego value; forms are in Rego's order as the terms are in OPA's, and equal where terms are.
"""

from __future__ import annotations

from typing import Any

from policy.rego.values import key, ordered, unkey

Node = dict[str, Any]

_RANKS = {
    "null": 0,
    "boolean": 1,
    "number": 2,
    "string": 3,
    "templatestring": 4,
    "var": 5,
    "ref": 6,
    "array": 7,
    "object": 8,
    "set": 9,
    "arraycomprehension": 10,
    "objectcomprehension": 11,
    "setcomprehension": 12,
    "call": 13,
}


def sorted_terms(terms: list[Node]) -> list[Node]:
    """Each term once, in order."""
    forms = {key(_form(term)): term for term in reversed(terms)}
    return [forms[key(form)] for form in ordered(map(unkey, forms))]


def sorted_pairs(pairs: list[list[Node]]) -> list[list[Node]]:
    """Each key once, in order, with the last of its values."""
    forms = {key(_form(pair[0])): pair for pair in pairs}
    return [forms[key(form)] for form in ordered(map(unkey, forms))]


def _form(term: Node) -> list[Any]:
    kind, value = term["type"], term["value"]
    match kind:
        case "null":
            form: Any = None
        case "ref" | "array" | "set" | "call":
            form = [_form(one) for one in value]
        case "object":
            form = [_form(one) for pair in value for one in pair]
        case "templatestring":
            parts = [_form(one) if "type" in one else [100, _expression(one)] for one in value["parts"] or []]
            form = [value["multi_line"], len(parts), *parts]
        case "arraycomprehension" | "objectcomprehension" | "setcomprehension":
            heads = [_form(value[name]) for name in ("term", "key", "value") if name in value]
            form = [*heads, [_expression(one) for one in value["body"]]]
        case _:
            form = value
    return [_RANKS[kind], form]


def _expression(found: Node) -> list[Any]:
    terms = found["terms"]
    withs = [[_form(one["target"]), _form(one["value"])] for one in found.get("with", [])]
    return [*_said(terms, found["index"], found.get("negated", False)), withs]


def _said(terms: Any, index: int, negated: bool) -> list[Any]:
    if isinstance(terms, list):
        return [2, index, negated, [_form(one) for one in terms]]
    if "symbols" in terms:
        return [0, index, negated, [_form(one) for one in terms["symbols"]]]
    if "domain" in terms:
        names = [_form(one) if one else None for one in (terms["key"], terms["value"], terms["domain"])]
        return [3, index, negated, [*names, [_expression(one) for one in terms["body"]]]]
    if terms["type"] == "not":
        return [4, index, negated, [_expression(one) for one in terms["body"]]]
    return [1, index, negated, _form(terms)]
