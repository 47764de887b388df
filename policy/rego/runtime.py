"""What generated code calls by name, besides the builtins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policy.rego.builtins import VALUELESS
from policy.rego.cache import indexed, indexed_now
from policy.rego.limits import elements, scan
from policy.rego.memory import CACHE, SCRATCH, WAITING, Memory
from policy.rego.values import (
    UNDEFINED,
    BuiltinError,
    EvaluationError,
    RegoSet,
    dot,
    equal,
    inserted_once,
    key,
    merged,
    upserted,
)


def once(before: Any, value: Any) -> Any:
    """A complete rule's value, given again. Raises EvaluationError if it is another one."""
    if before is not UNDEFINED and not equal(before, value):
        raise EvaluationError("a complete rule or function has two values")
    return value


def length(value: Any) -> Any:
    """Number of elements."""
    return len(value) if type(value) in (str, list, dict, RegoSet) else UNDEFINED


def first(results: list[Any]) -> Any:
    """The value that a query of an entry point has, which is its only result."""
    return results[0]["result"] if results else UNDEFINED


def getter(value: Any) -> Callable[[Any, Any], Any]:
    """For what is no object, a function that finds what `dot` finds."""
    return _nothing if value is UNDEFINED else lambda at, _: dot(value, at)


def _nothing(_: Any, undefined: Any) -> Any:
    return undefined


def got(get: Callable[[Any, Any], Any], at: Any) -> Any:
    """What `get` finds for a key that is no text."""
    held = getattr(get, "__self__", None)
    return get(at, UNDEFINED) if held is None else dot(held, at)


def inner(memory: Memory) -> list[Any]:
    """What a memory inside `with` takes over: all but the values of rules."""
    taken = memory[: CACHE + 1]
    taken[CACHE] = None
    return taken


def outer(saved: tuple[Any, Memory], memory: Memory) -> tuple[Any, Memory]:
    """Document and memory as they were before `with`, less the steps that were made inside."""
    before = saved[1]
    before[SCRATCH:CACHE] = memory[SCRATCH:CACHE]
    return saved


def failed(builtin: str, at: str, *arguments: Any) -> None:
    """Strict mode: a builtin has no value. Raises BuiltinError where that is an error."""
    if builtin not in VALUELESS or not VALUELESS[builtin](arguments[0]):
        raise BuiltinError(f"{at}: {builtin} failed")


NAMES: Mapping[str, Any] = {
    "U": UNDEFINED,
    "W": WAITING,
    "E": RegoSet(),
    "RegoSet": RegoSet,
    "new": object.__new__,
    "dot": dot,
    "equal": equal,
    "key": key,
    "inserted_once": inserted_once,
    "merged": merged,
    "elements": elements,
    "scan": scan,
    "upserted": upserted,
    "once": once,
    "length": length,
    "first": first,
    "getter": getter,
    "got": got,
    "indexed": indexed,
    "indexed_now": indexed_now,
    "inner": inner,
    "outer": outer,
    "failed": failed,
}

Rule = Callable[[Any, Any, Memory], Any]
