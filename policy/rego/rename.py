"""Gives locals that regopy uses again in another body numbers of their own, so that each is written in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from itertools import count
from typing import Any

from policy.rego.plan import (
    ArrayAppend,
    Ask,
    AssignVarOnce,
    Block,
    Blocks,
    Function,
    IsDefined,
    IsUndefined,
    Keep,
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
_NUMBERS = {  # fields that are locals, not operands
    Scan: ("key", "value"),
    With: ("local",),
    ResetLocal: ("target",),
    Ask: ("result",),
}


def renamed(function: Function) -> Function:
    """An equivalent function. It must be verified."""
    fresh = count(max(numbers(function.blocks), default=0) + 1)
    return replace(function, blocks=_apart(function.blocks, set(function.params), fresh))


def _apart(blocks: tuple[Block, ...], outside: set[int], fresh: Iterator[int]) -> tuple[Block, ...]:
    """Blocks in a row, with what more than one of them uses for itself renamed; `outside` is used around them too."""
    uses = [numbers((block,)) for block in blocks]
    occurs = Counter(number for used in uses for number in used)
    shared = {number for number, held in occurs.items() if held > 1} - outside
    for block in blocks:
        shared -= _carried(block)
    made = []
    for index, block in enumerate(blocks):
        around = outside.union(*(used for at, used in enumerate(uses) if at != index)) - shared
        own = _replaced(block, {number: next(fresh) for number in sorted(shared & uses[index])})
        made.append(_inside(own, around, fresh))
    return tuple(made)


def _inside(block: Block, outside: set[int], fresh: Iterator[int]) -> Block:
    """A block, with the rows of blocks in it."""
    made: list[Statement] = []
    for index, statement in enumerate(block.statements):
        if isinstance(statement, (Blocks, Ask)):
            others = Block((*block.statements[:index], *block.statements[index + 1 :]))
            around = outside | numbers((others,))
            made.append(replace(statement, inner=_apart(statement.inner, around, fresh)))
        else:
            made.append(statement)
    return Block(tuple(made))


def numbers(blocks: Iterable[Block]) -> set[int]:
    """Locals that blocks use in any way."""
    return {number for block in blocks for number, _ in _occurrences(block)}


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
        if isinstance(statement, (IsDefined, IsUndefined, Keep)):
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
