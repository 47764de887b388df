"""Comparison and membership."""

from __future__ import annotations

from typing import Any

from policy.rego.values import UNDEFINED, RegoSet, compare, equal, key


def greater(a: Any, b: Any) -> bool:
    """`a > b`."""
    return a > b if type(a) is int and type(b) is int else compare(a, b) > 0


def greater_or_equal(a: Any, b: Any) -> bool:
    """`a >= b`."""
    return a >= b if type(a) is int and type(b) is int else compare(a, b) >= 0


def less(a: Any, b: Any) -> bool:
    """`a < b`."""
    return a < b if type(a) is int and type(b) is int else compare(a, b) < 0


def less_or_equal(a: Any, b: Any) -> bool:
    """`a <= b`."""
    return a <= b if type(a) is int and type(b) is int else compare(a, b) <= 0


def unequal(a: Any, b: Any) -> bool:
    """`a != b`."""
    return not equal(a, b)


def member(value: Any, among: Any) -> bool:
    """`value in among`: an array's or set's elements, an object's values; false for anything else."""
    kind = type(among)
    if kind is RegoSet:
        return key(value) in among.keys
    if kind is list:
        return value in among if type(value) is str else any(equal(value, one) for one in among)
    return kind is dict and any(equal(value, one) for one in among.values())


def member_at(at: Any, value: Any, among: Any) -> bool:
    """`at, value in among`."""
    kind = type(among)
    if kind is RegoSet:
        return equal(at, value) and key(value) in among.keys
    if kind is dict:
        return equal(among.get(key(at), UNDEFINED), value)
    return kind is list and any(equal(index, at) and equal(one, value) for index, one in enumerate(among))


BUILTINS = {
    "equal": equal,
    "neq": unequal,
    "gt": greater,
    "gte": greater_or_equal,
    "lt": less,
    "lte": less_or_equal,
    "internal.member_2": member,
    "internal.member_3": member_at,
}
