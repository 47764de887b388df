"""Where regopy's plans mean something else than OPA's, and how they are made to mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from policy.rego.plan import (
    INPUT,
    Call,
    CallDynamic,
    Dot,
    IsDefined,
    IsType,
    Local,
    Operand,
    Scan,
    Statement,
    of_rule,
)


def bridged(block: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Statements of a block, with OPA's meaning."""
    return tuple(_input_defined(_strict_domains(block)))


def _strict_domains(block: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Where a scan needs its source defined, need a collection. Only `every` is planned so, and regopy would have it
    true of anything that is no collection, where OPA has it undefined.
    """
    made = list(block)
    for index, (statement, following) in enumerate(pairwise(block)):
        if isinstance(statement, IsDefined) and isinstance(following, Scan) and following.source == statement.source:
            made[index] = IsType(at=statement.at, source=statement.source, kind="collection")
    return tuple(made)


def _input_defined(block: tuple[Statement, ...]) -> Iterator[Statement]:
    """What uses `input` as a value needs it: regopy would put an absent one into an array."""
    for statement in block:
        if Local(INPUT) in _values(statement):
            yield IsDefined(at=statement.at, source=Local(INPUT))
        yield statement


def _values(statement: Statement) -> tuple[Operand, ...]:
    """What a statement uses as values: neither what it looks into, nor the documents that every call of a rule passes
    on.
    """
    if isinstance(statement, Dot):
        return (statement.key,)
    ruled = isinstance(statement, CallDynamic) or (isinstance(statement, Call) and of_rule(statement.func))
    return tuple(statement.reads())[2:] if ruled else tuple(statement.reads())
