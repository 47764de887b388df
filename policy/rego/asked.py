"""A rule that a function has certainly asked for is not asked for again: its value, or that it has none, is known. In
the rule behind an entry point, one that has certainly not been asked for before stands there itself.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from policy.rego.plan import (
    DATA,
    INPUT,
    Block,
    Blocks,
    Break,
    Call,
    CallDynamic,
    Constant,
    Function,
    IsDefined,
    IsUndefined,
    Local,
    Not,
    NotEqual,
    Operand,
    Scan,
    Statement,
    With,
    may_fail,
    of_rule,
    statements,
    with_blocks,
)
from policy.rego.rename import relocated

_DOCUMENTS = (Local(INPUT), Local(DATA))
_CHAIN = 4  # blocks in one another that a chain of `else` may make
_Asked = dict[str, int]  # the local that holds a rule's value, or nothing
StandIn = Callable[[Call, int, bool], Sequence[Statement]]  # of a call, so many blocks deep, first or not; or nothing
Reach = Callable[[Statement], Iterable[str]]  # rules that a call may come to ask for


@dataclass(frozen=True, slots=True)
class Rules:
    """What is known of a plan's rules."""

    always: frozenset[str]  # have a value, whatever they are asked
    true: frozenset[str]  # their value, where they have one, is not false


def asked_once(function: Function, rules: Rules) -> Function:
    """An equivalent function."""
    return _walked(function, _Walk(function, rules))


def asked_first(
    function: Function, rules: Rules, stand_in: StandIn, reach: Callable[[Statement], set[str]]
) -> Function:
    """An equivalent function, where nothing has been asked for when it is called."""
    return _walked(function, _Walk(function, rules, stand_in, reach))


def _walked(function: Function, walk: _Walk) -> Function:
    if any(isinstance(one, Break) for one in statements(function.blocks)):
        return function  # blocks are counted
    blocks, _ = walk.blocks(_chained(function.blocks), {}, 1)
    return replace(function, blocks=tuple(Block(relocated(block.statements, walk.names)) for block in blocks))


def negated(statement: Not, block: Block) -> tuple[Statement, ...]:
    """The negation of a block in place of another, after what in it cannot be undefined."""
    before = tuple(takewhile(lambda one: not may_fail(one), block.statements))
    match block.statements[len(before) :]:
        case (IsDefined(source=source),):
            return (*before, IsUndefined(at=statement.at, source=source))
        case rest:
            return (*before, replace(statement, block=Block(rest)))


def _chained(blocks: tuple[Block, ...], depth: int = 0) -> tuple[Block, ...]:
    """Blocks in a row that are all for the case that a local has no value, in one another: then each knows what the
    ones before it have asked.
    """
    if len(blocks) < 2 or depth == _CHAIN:
        return blocks
    first, *rest = blocks[0], *_chained(blocks[1:], depth + 1)
    unset = _for_lack_of(first)
    if unset is None or unset != _for_lack_of(rest[0]):
        return (first, *rest)
    inner = Blocks(inner=(Block(first.statements[1:]), rest[0]))
    return (Block((first.statements[0], inner)), *rest[1:])


def _for_lack_of(block: Block) -> Local | None:
    first = block.statements[0] if block.statements else None
    return first.source if isinstance(first, IsUndefined) else None


class _Walk:
    def __init__(
        self,
        function: Function,
        rules: Rules,
        stand_in: StandIn = lambda call, depth, first: (),
        reach: Reach = lambda statement: (),
    ):
        self._rules = rules
        self._stand_in = stand_in
        self._reach = reach
        self._writes = Counter(number for one in statements(function.blocks) for number in one.writes())
        self._perhaps: set[str] = set()  # asked for somewhere before
        self._elsewhere = 0  # how many `with` there are around
        self.names: dict[int, int] = {}  # locals that hold again what others hold

    def blocks(self, blocks: Sequence[Block], asked: _Asked, depth: int) -> tuple[tuple[Block, ...], _Asked]:
        """Blocks in turn, and what has certainly been asked for after them."""
        made = []
        for block in blocks:
            written, asked = self._block(block, asked, depth)
            made.append(written)
        return tuple(made), asked

    def _block(self, block: Block, asked: _Asked, depth: int) -> tuple[Block, _Asked]:
        made: list[Statement] = []
        certain: _Asked | None = None
        true: set[Operand] = set()
        waiting = deque(block.statements)
        while waiting:
            statement = waiting.popleft()
            if isinstance(statement, NotEqual) and statement.b == Constant(False) and statement.a in true:
                continue
            if isinstance(statement, Call) and self._of_documents(statement):
                instead = self._instead(statement, asked, depth)
                asked = asked if statement.func in asked else {**asked, statement.func: statement.result}
                if instead is not None and statement.func in self._rules.true:
                    true.add(Local(statement.result))
                if instead is not None:
                    waiting.extendleft(reversed(instead))
                    continue
            written, asked = self._statement(statement, asked, depth)
            made += written
            if certain is None and may_fail(statement):
                certain = asked
        return Block(tuple(made)), asked if certain is None else certain

    def _statement(self, statement: Statement, asked: _Asked, depth: int) -> tuple[Sequence[Statement], _Asked]:
        if isinstance(statement, (Call, CallDynamic)):
            self._perhaps.update(self._reach(statement))
        elif isinstance(statement, Scan):
            self._perhaps.update(name for one in statements((statement.block,)) for name in self._reach(one))
        other = isinstance(statement, With)
        self._elsewhere += other
        inner, after = self.blocks(statement.blocks(), {} if other else asked, depth + 1)
        self._elsewhere -= other
        if isinstance(statement, Not):
            return negated(statement, inner[0]), after
        return (with_blocks(statement, inner),), after if isinstance(statement, Blocks) else asked

    def _of_documents(self, call: Call) -> bool:
        return of_rule(call.func) and call.args == _DOCUMENTS and self._writes[call.result] == 1

    def _instead(self, call: Call, asked: _Asked, depth: int) -> Sequence[Statement] | None:
        """What takes the place of a call, if anything does."""
        if call.func in asked:
            self.names[call.result] = asked[call.func]
            return () if call.func in self._rules.always else (IsDefined(at=call.at, source=Local(asked[call.func])),)
        if self._elsewhere:
            return None
        body = self._stand_in(call, depth, call.func not in self._perhaps)
        if body:
            self._perhaps.add(call.func)
            self._writes.update(number for one in statements((Block(tuple(body)),)) for number in one.writes())
        return body or None
