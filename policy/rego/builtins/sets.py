"""Sets."""

from __future__ import annotations

from typing import Any

from policy.rego.values import UNDEFINED, RegoSet, unkey


def both(a: Any, b: Any) -> Any:
    """`a & b`."""
    return RegoSet.of_keys(a.keys & b.keys) if type(a) is RegoSet and type(b) is RegoSet else UNDEFINED


def either(a: Any, b: Any) -> Any:
    """`a | b`."""
    return RegoSet.of_keys(a.keys | b.keys) if type(a) is RegoSet and type(b) is RegoSet else UNDEFINED


def difference(a: Any, b: Any) -> Any:
    """`a - b`."""
    return RegoSet.of_keys(a.keys - b.keys) if type(a) is RegoSet and type(b) is RegoSet else UNDEFINED


def _members(sets: Any) -> Any:
    if type(sets) is not RegoSet:
        return UNDEFINED
    found: list[Any] = [unkey(item) for item in sets.keys]
    return [one.keys for one in found] if all(type(one) is RegoSet for one in found) else UNDEFINED


def union(sets: Any) -> Any:
    """All elements of a set of sets."""
    found = _members(sets)
    return UNDEFINED if found is UNDEFINED else RegoSet.of_keys(set().union(*found))


def intersection(sets: Any) -> Any:
    """Elements that every set of a set of sets has; none if there is no set."""
    found = _members(sets)
    if found is UNDEFINED:
        return UNDEFINED
    return RegoSet.of_keys(set.intersection(*found) if found else set())


BUILTINS = {"and": both, "or": either, "set_diff": difference, "union": union, "intersection": intersection}
