"""What is known of builtins before a policy calls one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.rego.check.index import Index
from policy.rego.check.steps import VARIADIC
from policy.rego.syntax.tree import Builtin, Ref, Term

LANGUAGE: Mapping[str, int] = {"eq": 2, "assign": 2, VARIADIC: 0}  # what is no function: signs, and `print`
_GONE = {  # what version 1 of Rego has no longer, and what to write
    "all": "`every x in xs { x }`",
    "any": "`some x in xs; x`",
    "cast_array": "an array comprehension",
    "cast_boolean": "`is_boolean(x)`",
    "cast_null": "`is_null(x)`",
    "cast_object": "`is_object(x)`",
    "cast_set": "a set comprehension",
    "cast_string": "`is_string(x)`",
    "net.cidr_overlap": "net.cidr_contains",
    "re_match": "regex.match",
    "set_diff": "`a - b`",
}


@dataclass(frozen=True)
class Known:
    """Arities of builtins that there are, and why others are refused."""

    arities: Mapping[str, int]
    refused: Mapping[str, str]

    @property
    def names(self) -> frozenset[str]:
        """All that are builtins."""
        return frozenset((*self.arities, *self.refused))

    def refusal(self, name: str) -> str:
        """Why a builtin cannot be called, or nothing."""
        if name in _GONE:
            return f"unknown function {name}: Rego has it no longer; write {_GONE[name]}"
        return f"builtin {name} is refused: {self.refused[name]}" if name in self.refused else ""

    def arity(self, function: Term, index: Index) -> int | None:
        """How many arguments a builtin or a function takes; None for what is neither."""
        if isinstance(function, Builtin):
            return self.arities.get(function.name)
        entry = index.exact(function) if isinstance(function, Ref) else None
        return entry.arity if entry else None
