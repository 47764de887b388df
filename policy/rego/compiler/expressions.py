"""Python expressions for what Rego asks most: looking up, comparing, counting. Each has a fast form for the common
kinds of values and leaves the rest to `dot`, `equal` and the builtins.
"""

from __future__ import annotations

from typing import Any

from policy.rego.plan import DATA, INPUT, Constant, Operand

PYTHON_TYPES = {"array": "(list,)", "object": "(dict,)", "set": "(RegoSet,)", "collection": "(list, dict, RegoSet)"}
OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "equal": "==", "neq": "!="}
TESTS = frozenset(  # builtins that answer with a boolean, or nothing
    {*OPERATORS, "internal.member_2", "internal.member_3", "startswith", "endswith", "contains", "net.cidr_contains"}
    | {
        "glob.match",
        "regex.match",
        "is_number",
        "is_string",
        "is_boolean",
        "is_array",
        "is_object",
        "is_set",
        "is_null",
    }
)
SUMS = {"plus": "+", "minus": "-"}
_KINDS = {"is_string": "str", "is_boolean": "bool", "is_array": "list", "is_object": "dict", "is_set": "RegoSet"}
_METHODS = {"startswith": "{0}.startswith({1})", "endswith": "{0}.endswith({1})", "contains": "{1} in {0}"}


def local(number: int) -> str:
    """Python's name of a local."""
    return {INPUT: "input", DATA: "data"}.get(number, f"v{number}")


def scalar(value: Any) -> bool:
    """Whether a value's `repr` is a literal that Python reads back."""
    return value is None or type(value) in (bool, int, float, str)


def looked_up(source: str, key: Any) -> str:
    """`source[key]` for a key that is known now, a text or a whole number from 0."""
    at = repr(key)
    if type(key) is str:
        return f"{source}.get({at}, U) if type({source}) is dict else dot({source}, {at})"
    there = source if at == "0" else f"len({source}) > {at}"
    return f"({source}[{at}] if {there} else U) if type({source}) is list else dot({source}, {at})"


def looked_up_by(source: str, key: str) -> str:
    """`source[key]` for a key that is a Python name."""
    return f"{source}.get({key}, U) if type({source}) is dict and type({key}) is str else dot({source}, {key})"


def tested(func: str, left: str, right: Operand, right_text: str, plain: str) -> str:
    """A test of a local as a Python condition; `plain` is the builtin's call."""
    if func == "internal.member_2" and not (isinstance(right, Constant) and scalar(right.value)):
        return _member(left, right_text, plain)
    if func in ("equal", "neq") and isinstance(right, Constant) and type(right.value) is str:
        return f"{left} {OPERATORS[func]} {right_text}"
    if func in OPERATORS and isinstance(right, Constant) and type(right.value) is int:
        return f"({left} {OPERATORS[func]} {right_text} if type({left}) is int else {plain})"
    if func in OPERATORS and func not in ("equal", "neq") and not isinstance(right, Constant):
        return (
            f"({left} {OPERATORS[func]} {right_text} if type({left}) is int and type({right_text}) is int else {plain})"
        )
    if func in _METHODS and isinstance(right, Constant) and type(right.value) is str:
        return f"({_METHODS[func].format(left, right_text)} if type({left}) is str else {plain})"
    if func == "is_number":
        return f"(type({left}) is int or {plain})"
    if func in _KINDS:
        return f"type({left}) is {_KINDS[func]}"
    return plain


def summed(func: str, left: str, right: str, plain: str) -> str:
    """A sum or difference, by Python's operator for whole numbers."""
    names = [one for one in (left, right) if not one.removeprefix("-").isdecimal()]
    asked = " and ".join(f"type({one}) is int" for one in names)
    return f"{left} {SUMS[func]} {right} if {asked} else {plain}" if names else plain


def _member(value: str, among: str, plain: str) -> str:
    """Membership of a text in a set or an array, which is what policies ask for, by Python's operator."""
    if among.startswith("K"):
        return f"({value} in {among}.keys if type({value}) is str and type({among}) is RegoSet else {plain})"
    return f"({value} in {among} if type({among}) is list and type({value}) is str else {plain})"


def differ(left: str, right: str, shape: str) -> str:
    """Condition that two values differ, by the shape of the pair."""
    match shape:
        case "singleton":
            return f"{left} is not {right}"
        case "text":
            return f"{left} != {right}"
        case "whole":
            return f"{left} != {right} if type({left}) is int else not equal({left}, {right})"
        case "local":
            return f"{left} != {right} if type({left}) is str else not equal({left}, {right})"
    return f"not equal({left}, {right})"


def same(left: str, right: str, shape: str) -> str:
    """Condition that two values are equal, by the shape of the pair."""
    match shape:
        case "singleton":
            return f"{left} is {right}"
        case "text":
            return f"{left} == {right}"
    return f"equal({left}, {right})"


def shape(operand: Operand) -> str:
    """What kind of comparison fits the right side of a pair whose left is a local."""
    if not isinstance(operand, Constant):
        return "local"
    if operand.value is None or type(operand.value) is bool:
        return "singleton"
    return {str: "text", int: "whole"}.get(type(operand.value), "value")
