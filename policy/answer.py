"""Reads the access policy's answer, strictly: whatever is not exactly a decision lets nothing pass."""

from __future__ import annotations

import itertools
import os
from typing import Any

from policy.decision import Effect
from policy.rego.values import RegoSet, to_python
from policy.response import InvalidAnswer

_FIELDS = frozenset({"effect", "reasons", "obligations"})
_EFFECTS: dict[Any, Effect] = {"allow": "allow", "deny": "deny", "step_up": "step_up"}
_ODD = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: spreads a counter over all ids without repeating one
_MASK = (1 << 64) - 1
_start = int.from_bytes(os.urandom(8))
_COUNT = itertools.count(1)


def _begin_anew() -> None:
    """Two processes that were one must not give out the same ids."""
    global _start
    _start = int.from_bytes(os.urandom(8))


os.register_at_fork(after_in_child=_begin_anew)


def read_answer(answer: Any) -> tuple[Effect, tuple[str, ...], dict[str, Any]]:
    """Effect, reasons and obligations. Raises InvalidAnswer."""
    if type(answer) is not dict or not _FIELDS.issuperset(answer):
        raise InvalidAnswer(f"not a decision: {to_python(answer)!r:.200}")
    said = answer.get("effect")
    effect = _EFFECTS.get(said) if type(said) is str else None
    if effect is None:
        raise InvalidAnswer(f"effect {to_python(said)!r:.200} is none of {', '.join(_EFFECTS)}")
    obligations = answer.get("obligations")
    if obligations is not None and type(obligations) is not dict:
        raise InvalidAnswer("obligations are no object")
    return effect, _reasons(answer.get("reasons")), to_python(obligations) if obligations else {}


def _reasons(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if type(value) is not RegoSet and type(value) is not list:
        raise InvalidAnswer("reasons are neither array nor set")
    found = tuple(value.keys if type(value) is RegoSet else value)
    for one in found:
        if type(one) is not str:
            raise InvalidAnswer("reasons are not all texts")
    return found if len(found) < 2 or type(value) is list else tuple(sorted(found))


def decision_id() -> str:
    """ "d-" and 16 hex digits, unique in this process and all but certainly beyond."""
    return f"d-{(_start + next(_COUNT) * _ODD) & _MASK:016x}"
