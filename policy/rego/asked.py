"""A rule that a function has certainly asked for is not asked for again: its value, or that it has none, is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from policy.rego.plan import (
    DATA,
    INPUT,
    Block,
    Blocks,
    Break,
    Call,
    Constant,
    Function,
    IsDefined,
    IsUndefined,
    Local,
    Not,
    NotEqual,
    Operand,
    Statement,
    With,
    may_fail,
    of_rule,
    statements,
    with_blocks,
)
from policy.rego.rename import relocated

_DOCUMENTS = (Local(INPUT), Local(DATA))


def asked_once(function: Function, always: frozenset[str], true: frozenset[str]) -> Function:
    """An equivalent function. `always`: rules that have a value, whatever they are asked. `true`: those whose value,
    where they have one, is not false.
    """
    if any(isinstance(one, Break) for one in statements(function.blocks)):
        return function  # blocks are counted
    walk = _Walk(function, always, true)
    blocks, _ = walk.blocks(function.blocks, {})
    return replace(function, blocks=tuple(Block(relocated(block.statements, walk.names)) for block in blocks))


class _Walk:
    def __init__(self, function: Function, always: frozenset[str], true: frozenset[str]):
        self._always = always
        self._true = true
        self._writes = Counter(number for one in statements(function.blocks) for number in one.writes())
        self.names: dict[int, int] = {}  # locals that hold again what others hold

    def blocks(self, blocks: Sequence[Block], asked: dict[str, int]) -> tuple[tuple[Block, ...], dict[str, int]]:
        """Blocks in turn, and what has certainly been asked for after them: the local by each rule."""
        made = []
        for block in blocks:
            written, asked = self._block(block, asked)
            made.append(written)
        return tuple(made), asked

    def _block(self, block: Block, asked: dict[str, int]) -> tuple[Block, dict[str, int]]:
        made: list[Statement] = []
        certain: dict[str, int] | None = None
        true: set[Operand] = set()
        for statement in block.statements:
            if isinstance(statement, NotEqual) and statement.b == Constant(False) and statement.a in true:
                continue
            if isinstance(statement, Call) and self._of_documents(statement):
                again = statement.func in asked
                made += self._again(statement, asked) if again else [statement]
                if again and statement.func in self._true:
                    true.add(Local(statement.result))
                asked = asked if again else {**asked, statement.func: statement.result}
            else:
                inner, after = self.blocks(statement.blocks(), {} if isinstance(statement, With) else asked)
                made.append(
                    negation(statement, inner[0]) if isinstance(statement, Not) else with_blocks(statement, inner)
                )
                asked = after if isinstance(statement, (Blocks, Not)) else asked
            if certain is None and may_fail(statement):
                certain = asked
        return Block(tuple(made)), asked if certain is None else certain

    def _of_documents(self, call: Call) -> bool:
        return of_rule(call.func) and call.args == _DOCUMENTS and self._writes[call.result] == 1

    def _again(self, call: Call, asked: dict[str, int]) -> list[Statement]:
        self.names[call.result] = asked[call.func]
        return [] if call.func in self._always else [IsDefined(at=call.at, source=Local(asked[call.func]))]


def negation(statement: Not, block: Block) -> Statement:
    """The negation of a block in place of another."""
    match block.statements:
        case (IsDefined(source=source),):
            return IsUndefined(at=statement.at, source=source)
    return replace(statement, block=block)
