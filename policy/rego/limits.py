"""Limits of one evaluation: what a policy that misbehaves may cost before it is stopped and its question refused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from policy.rego.memory import BUDGET, STEPS, Memory
from policy.rego.values import LimitExceeded, RegoSet
from policy.rego.values import scan as pairs

STRIDE = 256  # elements between two looks at the clock


@dataclass(frozen=True, slots=True)
class Limits:
    """`steps` is how many elements an evaluation may visit in loops, `seconds` how long it may compute: time in which
    the machine does something else does not count.
    """

    steps: int = 1_000_000
    seconds: float = 0.05


class Budget:
    """What is left to one evaluation. Its clock starts when its first steps are used up: most need no clock."""

    __slots__ = ("_deadline", "_limits", "_steps")  # the deadline is on the thread's own clock

    def __init__(self, limits: Limits):
        self._limits = limits
        self._steps = limits.steps
        self._deadline = 0.0

    def more(self, wanted: int) -> int:
        """Pay for elements that are about to be visited; how many more may be visited before the next payment. Raises
        LimitExceeded.
        """
        now = time.thread_time()
        self._deadline = self._deadline or now + self._limits.seconds
        self._steps -= wanted
        if self._steps < 0:
            raise LimitExceeded(f"the policy visited more than {self._limits.steps} elements")
        if now > self._deadline:
            raise LimitExceeded(f"the policy computed for more than {self._limits.seconds} s")
        return STRIDE


def scan(value: Any, memory: Memory) -> Iterable[tuple[Any, Any]]:
    """Keys and values of a composite value in Rego's order, paid for; nothing for any other value."""
    kind = type(value)
    if kind is not list and kind is not dict and kind is not RegoSet:
        return ()
    count = len(value)
    if count > STRIDE:
        return _watched(value, memory)
    left = memory[STEPS] - count
    if left < 0:
        left = pay(memory, count)
    memory[STEPS] = left
    return pairs(value)


def elements(value: Any, memory: Memory) -> Iterable[Any]:
    """Elements of a composite value in Rego's order, paid for; nothing for any other value."""
    if type(value) is list and len(value) <= memory[STEPS]:
        memory[STEPS] -= len(value)
        return value
    return (element for _, element in scan(value, memory))


def pay(memory: Memory, wanted: int) -> int:
    """Steps that are left when what was used since the last payment is paid for. Raises LimitExceeded."""
    if memory[BUDGET] is None or type(memory[BUDGET]) is Limits:
        memory[BUDGET] = Budget(memory[BUDGET] or Limits())
    left: int = memory[BUDGET].more(wanted + STRIDE)
    return left


def _watched(value: Any, memory: Memory) -> Iterator[tuple[Any, Any]]:
    """A long one: the clock is looked at while it goes on."""
    for count, pair in enumerate(pairs(value)):
        if not count % STRIDE:
            pay(memory, 0)
        yield pair
