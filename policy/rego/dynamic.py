"""Looking up a path below `data` that is known only when asked: rules, whole packages, and base documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from policy.rego.memory import TRACE, Memory
from policy.rego.runtime import Rule
from policy.rego.values import UNDEFINED, dot, key, merged

Path = tuple[Any, ...]
Lookup = Callable[[Path, Any, Any, Memory], Any]


def exact(rules: Mapping[Path, Rule]) -> Lookup:
    """OPA's dynamic call: the rule at a path, which begins with the generation; undefined if there is none."""

    def lookup(path: Path, document: Any, data: Any, memory: Memory) -> Any:
        rule = rules.get(_hashable(path))
        return rule(document, data, memory) if rule else UNDEFINED

    return lookup


def extent(rules: Mapping[Path, Rule]) -> Lookup:
    """regopy's dynamic call, and a question by path. The first part is the root. A rule at the path or above it
    answers; otherwise all rules below it and the base document make one object.
    """

    def lookup(path: Path, document: Any, data: Any, memory: Memory) -> Any:
        below = path[1:]
        for length in range(1, len(below) + 1):
            if rule := rules.get(_hashable(below[:length])):
                return reduce(dot, below[length:], rule(document, data, memory))
        memory[TRACE].append(("data", *below))
        found = reduce(dot, below, data)
        made = _package(rules, below, document, data, memory)
        if made is UNDEFINED:
            return found
        return made if found is UNDEFINED else merged(made, found)

    return lookup


def _hashable(path: Path) -> Path:
    return tuple(map(key, path))


def _package(rules: Mapping[Path, Rule], prefix: Path, *documents: Any) -> Any:
    """Values of the rules below a path as one object; undefined if there is no rule."""
    start = _hashable(prefix)
    below = {path[len(prefix) :]: rule for path, rule in rules.items() if path[: len(prefix)] == start}
    result: Any = {} if below else UNDEFINED
    for path, rule in below.items():
        value = rule(*documents)
        if value is not UNDEFINED:
            result = merged(reduce(lambda held, step: {step: held}, reversed(path), value), result)
    return result
