"""Makes a verified plan shorter without changing what it means: literals become constants, copies, checks that cannot
fail and repeated look-ups go away, blocks that only hold blocks are opened.

regopy assigns every intermediate to a local of its own, so most locals are written once; only those are touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from policy.rego.invariant import hoisted
from policy.rego.merge import merged
from policy.rego.plan import (
    INPUT,
    ArrayAppend,
    AssignVar,
    AssignVarOnce,
    Block,
    Blocks,
    Break,
    Constant,
    Dot,
    Function,
    IsDefined,
    IsUndefined,
    Local,
    MakeArray,
    MakeNull,
    MakeNumber,
    MakeObject,
    MakeSet,
    NotEqual,
    ObjectInsert,
    Operand,
    ResetLocal,
    Scan,
    SetAdd,
    Statement,
    With,
    statements,
    with_blocks,
)
from policy.rego.rename import renamed
from policy.rego.values import RegoSet, key

_MUTATED = {"ArrayAppend": "array", "SetAdd": "set", "ObjectInsert": "object", "ObjectInsertOnce": "object"}


def simplify(function: Function) -> Function:
    """An equivalent function. It must be verified."""
    made = shortened(function)
    return made if any(isinstance(one, Break) for one in statements(made.blocks)) else merged(made)


def shortened(function: Function) -> Function:
    """An equivalent function with the same bodies in the same order. It must be verified."""
    function = renamed(function)
    blocks = tuple(_certain(block, set(function.params) - {INPUT}) for block in function.blocks)
    known = _Known(replace(function, blocks=blocks))
    blocks = known.rewritten(blocks)
    if any(isinstance(one, Break) for one in statements(blocks)):
        return replace(function, blocks=_needed(blocks))  # blocks are counted
    return hoisted(replace(function, blocks=_opened(_needed(blocks))))


def _certain(block: Block, defined: set[int]) -> Block:
    """Drop `IsDefined` of what is certainly defined."""
    kept = []
    for statement, following in zip_longest(block.statements, block.statements[1:]):
        if isinstance(statement, IsDefined) and (
            statement.source.number in defined or (isinstance(following, Dot) and following.source == statement.source)
        ):
            continue
        defined -= {one.target for one in _all(statement) if isinstance(one, ResetLocal)}
        inside = set(defined)
        if isinstance(statement, Scan):
            inside |= {statement.key, statement.value}
        elif isinstance(statement, With):
            inside.discard(statement.local)
        kept.append(with_blocks(statement, tuple(_certain(one, set(inside)) for one in statement.blocks())))
        defined |= set(statement.writes())
        if isinstance(statement, IsDefined):
            defined.add(statement.source.number)
    return Block(tuple(kept))


class _Known:
    """Locals of one function that stand for a constant or for another local."""

    def __init__(self, function: Function):
        everything = list(statements(function.blocks))
        self._writes = Counter(local for one in everything for local in _written(one))
        self._writes.update(function.params)
        self._mutations = Counter(local for one in everything if (local := _mutated(one)) is not None)
        self._checked = {one.source.number for one in everything if isinstance(one, (IsDefined, IsUndefined))}
        self._meanings: dict[int, Operand] = {}
        self._building: dict[int, tuple[Any, int]] = {}  # literal so far, and additions still to come
        for block in function.blocks:
            self._learn_block(block)

    def rewritten(self, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        """Blocks with operands replaced by what they stand for."""
        return tuple(Block(tuple(self._statements(block))) for block in blocks)

    def _statements(self, block: Block) -> Iterator[Statement]:
        for statement in block.statements:
            gone = set(statement.writes()) | {_mutated(statement)}
            if gone & self._meanings.keys():
                continue
            made = self._operands(statement)
            if not isinstance(made, NotEqual) or not _always(made):
                yield with_blocks(made, self.rewritten(made.blocks()))

    def _operands(self, statement: Statement) -> Statement:
        changes: dict[str, Any] = {}
        for name in statement.READS:
            held = getattr(statement, name)
            changes[name] = tuple(map(self._meaning, held)) if isinstance(held, tuple) else self._meaning(held)
        return replace(statement, **changes)

    def _meaning(self, operand: Operand) -> Operand:
        return self._meanings.get(operand.number, operand) if isinstance(operand, Local) else operand

    def _learn(self, statement: Statement) -> None:
        match statement:
            case MakeNumber(target=target, value=value) if self._single(target):
                self._meanings[target] = Constant(value)
            case MakeNull(target=target) if self._single(target):
                self._meanings[target] = Constant(None)
            case AssignVar(target=target, source=source) if self._single(target) and self._stable(source):
                self._meanings[target] = self._meaning(source)
            case MakeArray() | MakeObject() | MakeSet():
                self._begin(statement)
            case ArrayAppend() | ObjectInsert() | SetAdd():
                self._add(statement)
            case ResetLocal():
                pass
            case _:
                self._building.clear()

    def _single(self, local: int) -> bool:
        return self._writes[local] == 1 and local not in self._checked

    def _stable(self, source: Operand) -> bool:
        source = self._meaning(source)
        return isinstance(source, Constant) or (self._writes[source.number] == 1 and source.number not in self._checked)

    def _begin(self, statement: MakeArray | MakeObject | MakeSet) -> None:
        if not self._single(statement.target):
            return
        empty: Any = [] if isinstance(statement, MakeArray) else {} if isinstance(statement, MakeObject) else RegoSet()
        self._building[statement.target] = (empty, self._mutations[statement.target])
        self._finish(statement.target)

    def _add(self, statement: ArrayAppend | ObjectInsert | SetAdd) -> None:
        target = _mutated(statement)
        operands = [self._meaning(operand) for operand in statement.reads()][1:]
        if target is None or target not in self._building or not all(isinstance(one, Constant) for one in operands):
            self._building.clear()
            return
        value, remaining = self._building[target]
        _put(value, *(one.value for one in operands if isinstance(one, Constant)))
        self._building[target] = (value, remaining - 1)
        self._finish(target)

    def _finish(self, target: int) -> None:
        value, remaining = self._building[target]
        if not remaining:
            del self._building[target]
            self._meanings[target] = Constant(value)

    def _learn_block(self, block: Block, available: Mapping[Hashable, int] = MappingProxyType({})) -> None:
        """A literal is built by statements in a row: nothing between them may be undefined, repeated or read it.
        `available` is what blocks around this one have looked up already.
        """
        self._building.clear()
        held = dict(available)
        for statement in block.statements:
            self._learn(statement)
            self._share(statement, held)
            inside = {} if isinstance(statement, With) else held
            for inner in statement.blocks():
                self._learn_block(inner, inside)
        self._building.clear()

    def _share(self, statement: Statement, available: dict[Hashable, int]) -> None:
        """What was looked up before in the same block, or around it, is not looked up again."""
        match statement:
            case Dot(source=source, key=Constant(value=str(step)), target=target):
                meant = self._meaning(source)
                steady = isinstance(meant, Local) and not self._mutations[meant.number]
                sign: Hashable = (meant, step) if steady else None
            case _:
                return
        if sign is None or not self._single(target):
            return
        if sign in available:
            self._meanings[target] = Local(available[sign])
        else:
            available[sign] = target


def _put(value: Any, *operands: Any) -> None:
    if type(value) is list:
        value.append(operands[0])
    elif type(value) is dict:
        value[key(operands[0])] = operands[1]
    else:
        value.add(operands[0])


def _needed(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Drop copies and resets of locals that nobody reads."""
    read = {operand.number for one in statements(blocks) for operand in _used(one) if isinstance(operand, Local)}

    def needed(statement: Statement) -> bool:
        return not isinstance(statement, (AssignVar, ResetLocal)) or statement.target in read

    def kept(block: Block) -> Block:
        inside = (one for one in block.statements if needed(one))
        return Block(tuple(with_blocks(one, tuple(map(kept, one.blocks()))) for one in inside))

    return tuple(map(kept, blocks))


def _opened(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Replace a block that holds nothing but blocks by those, at every depth; drop empty ones."""
    result: list[Block] = []
    for block in blocks:
        inside = tuple(map(_opened_in, block.statements))
        only = inside[0] if len(inside) == 1 else None
        result += only.inner if isinstance(only, Blocks) else [Block(inside)] if inside else []
    return tuple(result)


def _opened_in(statement: Statement) -> Statement:
    if isinstance(statement, Blocks):
        return replace(statement, inner=_opened(statement.inner))
    return with_blocks(statement, tuple(Block(tuple(map(_opened_in, one.statements))) for one in statement.blocks()))


def _always(check: NotEqual) -> bool:
    a, b = check.a, check.b
    return isinstance(a, Constant) and isinstance(b, Constant) and b.value is False and a.value is not False


def _all(statement: Statement) -> Iterator[Statement]:
    yield statement
    yield from statements(statement.blocks())


def _used(statement: Statement) -> Iterator[Operand]:
    yield from statement.reads()
    if isinstance(statement, (IsDefined, IsUndefined)):
        yield statement.source
    elif isinstance(statement, AssignVarOnce):
        yield Local(statement.target)


def _written(statement: Statement) -> Iterator[int]:
    yield from statement.writes()
    if isinstance(statement, Scan):
        yield from (statement.key, statement.value)
    elif isinstance(statement, ResetLocal):
        yield statement.target
    elif isinstance(statement, With):
        yield statement.local


def _mutated(statement: Statement) -> int | None:
    name = _MUTATED.get(type(statement).__name__)
    held = getattr(statement, name) if name else None
    return held.number if isinstance(held, Local) else None
