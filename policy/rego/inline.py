"""Puts a rule that is called from one place there, in place of the call: for a call Python pays what it pays for a
dozen steps.

The rule keeps a function of its own too, for whoever asks for it by path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, takewhile

from policy.rego.analysis import call_sites, data_rules, fixed_rules, never_false, set_valued
from policy.rego.asked import asked_once, negation
from policy.rego.compiler.locals import Locals
from policy.rego.embed import Body, constant, embeddable, embedded, height, short
from policy.rego.plan import (
    Block,
    Break,
    Call,
    CallDynamic,
    Constant,
    Function,
    Local,
    Not,
    NotEqual,
    Operand,
    Plan,
    ResetLocal,
    Statement,
    With,
    may_fail,
    statements,
    with_blocks,
)
from policy.rego.rename import numbers
from policy.rego.simplify import simplify
from policy.rego.verify import DOCUMENT_ARGUMENTS, called

DEEPEST = 12  # blocks in one another that inlining may make; Python takes 20
LONGEST = 800  # statements of one function
ROUNDS = 3


def inlined(plan: Plan) -> Plan:
    """An equivalent plan of simplified functions. `Plan.inlined` are those that nobody calls any more."""
    for _ in range(ROUNDS):  # what a function asks for twice, it asks for once when its parts are in it
        plan = _asked_once(_inlined(plan))
    return plan


def _inlined(plan: Plan) -> Plan:
    inliner = _Inliner(plan)
    queries = {name: inliner.expanded(query) for name, query in plan.queries.items()}
    functions = dict(plan.functions)
    waiting = [name for name in _live(plan) if name not in inliner.opened]
    while waiting:
        name = waiting.pop()
        functions[name] = inliner.expanded(plan.functions[name])
        waiting += inliner.refused
        inliner.refused.clear()
    return replace(plan, functions=functions, queries=queries, inlined=plan.inlined | inliner.opened)


def _asked_once(plan: Plan) -> Plan:
    sets = frozenset(name for name, function in plan.functions.items() if set_valued(function))
    true = frozenset(name for name, function in plan.functions.items() if never_false(function))
    functions = {name: asked_once(plan.functions[name], sets, true) for name in _live(plan)}
    queries = {name: asked_once(query, sets, true) for name, query in plan.queries.items()}
    return replace(plan, functions={**plan.functions, **functions}, queries=queries)


def _live(plan: Plan) -> list[str]:
    return [name for name in plan.functions if name not in plan.inlined]


def _openable(plan: Plan) -> Iterator[str]:
    """Constants and short tests; and what is called from one place, and once where it would be kept."""
    apart = set(_apart(plan))
    sites = call_sites((*map(plan.functions.__getitem__, _live(plan)), *plan.queries.values()))
    for name in _live(plan):
        function = plan.functions[name]
        places, times = sites.get(name, (0, 0))
        once = places == 1 and (times == 1 or len(function.params) > DOCUMENT_ARGUMENTS)
        if embeddable(plan, function) and (constant(function) or ((once or short(function)) and name not in apart)):
            yield name


def _apart(plan: Plan) -> Iterator[str]:
    """What is to be a function: entry points, what is kept for longer, what is called with other documents or by a path
    that is known only then.
    """
    fixed = tuple(fixed_rules(plan))
    yield from (*fixed, *data_rules(plan, fixed))
    for query in plan.queries.values():
        yield from _called(plan, query.blocks)
    for function in plan.functions.values():
        for statement in statements(function.blocks):
            if isinstance(statement, CallDynamic):
                yield from called(plan, statement)
            elif isinstance(statement, With):
                yield from _called(plan, (statement.block,))


def _called(plan: Plan, blocks: tuple[Block, ...]) -> Iterator[str]:
    for statement in statements(blocks):
        yield from called(plan, statement)


class _Inliner:
    def __init__(self, plan: Plan):
        self._plan = plan
        self.opened = set(_openable(plan))
        self.refused: list[str] = []  # for which there was no room
        functions = (*plan.functions.values(), *plan.queries.values())
        self._fresh = count(1 + max((max(numbers(one.blocks), default=1) for one in functions), default=1))
        self._room = LONGEST
        self._shared: set[int] = set()  # locals that are asked for in several places

    def expanded(self, function: Function) -> Function:
        """A function with the bodies of others in it."""
        everything = list(statements(function.blocks))
        names = [one.func for one in everything if isinstance(one, Call) and one.func in self.opened]
        if any(isinstance(one, Break) for one in everything):
            self._refuse(*names)  # blocks are counted
            return function
        if not names:
            return function
        self._room = LONGEST
        return simplify(replace(function, blocks=self._opened_blocks(function, 1)))

    def _opened_blocks(self, function: Function, depth: int) -> tuple[Block, ...]:
        around, self._shared = self._shared, Locals(self._plan, function).checked
        blocks = self._blocks(function.blocks, depth)
        self._shared = around
        return blocks

    def _refuse(self, *names: str) -> None:
        self.opened.difference_update(names)
        self.refused += names

    def _blocks(self, blocks: Sequence[Block], depth: int) -> tuple[Block, ...]:
        return tuple(Block(tuple(self._statements(block.statements, depth))) for block in blocks)

    def _statements(self, held: Sequence[Statement], depth: int) -> Iterator[Statement]:
        true: set[Operand] = set()  # locals that are not false
        for statement in held:
            if isinstance(statement, NotEqual) and statement.b == Constant(False) and statement.a in true:
                continue
            if isinstance(statement, Not):
                yield from _outside(statement, tuple(self._statements(statement.block.statements, depth + 1)))
            elif isinstance(statement, Call) and statement.func in self.opened:
                if never_false(self._plan.functions[statement.func]):
                    true.add(Local(statement.result))
                yield from self._called(statement, depth)
            else:
                yield with_blocks(statement, self._blocks(statement.blocks(), depth + 1))

    def _called(self, call: Call, depth: int) -> Body:
        """A function's body in place of a call of it, where there is room."""
        function = self._plan.functions[call.func]
        opened = replace(function, blocks=self._opened_blocks(function, depth + 1))
        body = embedded(self._plan, opened, call, self._fresh)
        self._room -= len(body)
        if self._room < 0 or depth + height((Block(body),)) > DEEPEST:
            self._refuse(call.func)
            return (call,)
        return (ResetLocal(target=call.result), *body) if call.result in self._shared else body


def _outside(statement: Not, held: Body) -> Iterator[Statement]:
    """A negation, less what cannot be undefined: that is done before it."""
    before = tuple(takewhile(lambda one: not may_fail(one), held))
    yield from before
    yield negation(statement, Block(held[len(before) :]))
