"""Where regopy's plans mean something else than OPA's, and how they are made to mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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

_INPUT = IsDefined(source=Local(INPUT))


def bridged(block: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Statements of a block, with OPA's meaning."""
    return tuple(_input_defined(_without_input(_strict_domains(block))))


def _strict_domains(block: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Where a scan needs its source defined, need a collection. Only `every` is planned so, and regopy would have it
    true of anything that is no collection, where OPA has it undefined.
    """
    made = list(block)
    for index, (statement, following) in enumerate(pairwise(block)):
        if isinstance(statement, IsDefined) and isinstance(following, Scan) and following.source == statement.source:
            made[index] = IsType(at=statement.at, source=statement.source, kind="collection")
    return tuple(made)


def _without_input(block: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """A rule at a path that is known only when asked may have a value without any input; regopy would need one."""
    needless = {
        index
        for index, (statement, following) in enumerate(pairwise(block))
        if statement == replace(_INPUT, at=statement.at) and isinstance(following, CallDynamic)
    }
    return tuple(statement for index, statement in enumerate(block) if index not in needless)


def _input_defined(block: tuple[Statement, ...]) -> Iterator[Statement]:
    """What uses `input` as a value needs it: regopy would put an absent one into an array."""
    for statement in block:
        used = (
            statement.args[2:] if isinstance(statement, Call) and statement.func.startswith("g") else statement.reads()
        )
        if Local(INPUT) in tuple(used):
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
