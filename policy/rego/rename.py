"""Gives locals that regopy uses again in another body numbers of their own, so that each is written in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import count
from typing import Any

from policy.rego.plan import (
    ArrayAppend,
    AssignVarOnce,
    Block,
    Function,
    IsDefined,
    IsUndefined,
    Local,
    ObjectInsert,
    ObjectInsertOnce,
    ResetLocal,
    Scan,
    SetAdd,
    Statement,
    With,
    statements,
)

_BUILT_UP = (AssignVarOnce, ResetLocal, IsDefined, IsUndefined, ArrayAppend, SetAdd, ObjectInsert, ObjectInsertOnce)
_NUMBERS = {Scan: ("key", "value"), With: ("local",), ResetLocal: ("target",)}  # fields that are locals, not operands


def renamed(function: Function) -> Function:
    """An equivalent function. It must be verified."""
    occurs = Counter(number for block in function.blocks for number in {n for n, _ in _occurrences(block)})
    shared = {number for number, blocks in occurs.items() if blocks > 1} - set(function.params)
    for block in function.blocks:
        shared -= _carried(block)
    fresh = count(max((n for block in function.blocks for n, _ in _occurrences(block)), default=0) + 1)
    blocks = (_replaced(block, {number: next(fresh) for number in sorted(shared)}) for block in function.blocks)
    return replace(function, blocks=tuple(blocks)) if shared else function


def relocated(body: tuple[Statement, ...], names: dict[int, int]) -> tuple[Statement, ...]:
    """Statements with other numbers for some locals."""
    return _replaced(Block(body), names).statements


def _carried(block: Block) -> set[int]:
    """Locals that may come with a value from the block before: those that are read first, or built up."""
    first: dict[int, bool] = {}
    for number, writes in _occurrences(block):
        first.setdefault(number, writes)
    return {number for number, writes in first.items() if not writes}


def _occurrences(block: Block) -> Iterator[tuple[int, bool]]:
    """Locals in the order in which they are used, and whether that gives them a value."""
    for statement in statements((block,)):
        reads = [one.number for one in statement.reads() if isinstance(one, Local)]
        if isinstance(statement, (IsDefined, IsUndefined)):
            reads.append(statement.source.number)
        yield from ((number, False) for number in reads)
        built_up = isinstance(statement, _BUILT_UP)
        yield from ((number, not built_up) for number in statement.writes())
        held = [getattr(statement, name) for name in _NUMBERS.get(type(statement), ())]
        yield from ((number, isinstance(statement, Scan)) for number in held)


def _replaced(block: Block, names: dict[int, int]) -> Block:
    return Block(tuple(_statement(one, names) for one in block.statements))


def _statement(statement: Statement, names: dict[int, int]) -> Statement:
    numbers = (*statement.WRITES, *_NUMBERS.get(type(statement), ()))
    changes: dict[str, Any] = {name: names.get(getattr(statement, name), getattr(statement, name)) for name in numbers}
    for field in fields(statement):
        held = getattr(statement, field.name)
        if isinstance(held, Local):
            changes[field.name] = Local(names.get(held.number, held.number))
        elif isinstance(held, Block):
            changes[field.name] = _replaced(held, names)
        elif isinstance(held, tuple):
            changes[field.name] = tuple(_part(one, names) for one in held)
    return replace(statement, **changes)


def _part(held: Any, names: dict[int, int]) -> Any:
    if isinstance(held, Block):
        return _replaced(held, names)
    return Local(names.get(held.number, held.number)) if isinstance(held, Local) else held
