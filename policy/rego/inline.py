"""Puts rules in place of calls of them: for a call Python pays what it pays for a dozen steps.

Constants, short tests, and what is called from one place stand wherever they were called. In the rule behind an entry
point, other rules stand where they are asked for first; from there on their value is known, or kept for other rules.
Each keeps a function of its own too, for whoever asks for it by path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count

from policy.rego.analysis import call_sites, data_rules, fixed_rules, live, never_false, reached, set_valued
from policy.rego.asked import Rules, asked_first, asked_once, negated
from policy.rego.compiler.locals import Locals
from policy.rego.embed import Body, asking, constant, embeddable, embedded, height, kept, length, short
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
    statements,
    with_blocks,
)
from policy.rego.rename import numbers
from policy.rego.simplify import shortened
from policy.rego.verify import DOCUMENT_ARGUMENTS, called

DEEPEST = 14  # blocks in one another that inlining may make; Python takes 20
LONGEST = 1_000  # statements of one function
COPIED = 16  # statements of a rule that may stand in several places


def inlined(plan: Plan, hot: Collection[str] | None = None) -> Plan:
    """An equivalent plan of simplified functions: those of the `hot` entry points, whose speed counts (None: all)."""
    names = set(plan.queries if hot is None else hot)
    plan = _each(plan, names, partial(asked_once, rules=_rules(plan)))
    plan = _each(plan, names, _Inliner(plan, set(_openable(plan))).expanded)
    plan = _each(plan, names, partial(asked_once, rules=_rules(plan)))
    queries = [query for name, query in plan.queries.items() if name in names]
    behind = {name for query in queries for name in _called(plan, query.blocks) if name in plan.functions}
    others = {name for function in live(plan).values() for name in _called(plan, function.blocks)}
    for name in sorted(behind - others):
        plan = replace(plan, functions={**plan.functions, name: _entry(plan, plan.functions[name])})
    return plan


def _each(plan: Plan, names: Collection[str], change: Callable[[Function], Function]) -> Plan:
    """A plan with the functions changed that one of these entry points may come to call, and the entry points."""
    callers = [query for name, query in plan.queries.items() if name in names]
    functions = {name: change(function) for name, function in reached(plan, callers).items()}
    queries = {name: change(query) if name in names else query for name, query in plan.queries.items()}
    return replace(plan, functions={**plan.functions, **functions}, queries=queries)


def _rules(plan: Plan) -> Rules:
    always = frozenset(name for name, function in plan.functions.items() if set_valued(function))
    true = frozenset(name for name, function in plan.functions.items() if never_false(function))
    return Rules(always, true)


def _openable(plan: Plan) -> Iterator[str]:
    """Constants and short tests; and what is called from one place, and once where it would be kept."""
    apart = set(_apart(plan))
    functions = live(plan)
    sites = call_sites((*functions.values(), *plan.queries.values()))
    for name, function in functions.items():
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


def _fresh(plan: Plan) -> Iterator[int]:
    """Numbers that no local has."""
    functions = (*plan.functions.values(), *plan.queries.values())
    return count(1 + max((max(numbers(one.blocks), default=1) for one in functions), default=1))


def _fits(block: Block, depth: int) -> bool:
    return depth + height((block,)) <= DEEPEST


class _Inliner:
    def __init__(self, plan: Plan, opened: set[str]):
        self._plan = plan
        self._opened = opened
        self._fresh = _fresh(plan)
        self._room = LONGEST
        self._shared: set[int] = set()  # locals that are asked for in several places

    def expanded(self, function: Function) -> Function:
        """A function with the bodies of others in it."""
        everything = list(statements(function.blocks))
        if any(isinstance(one, Break) for one in everything):
            return function  # blocks are counted
        if not any(isinstance(one, Call) and one.func in self._opened for one in everything):
            return function
        self._room = LONGEST
        return shortened(replace(function, blocks=self._opened_blocks(function, 1)))

    def _opened_blocks(self, function: Function, depth: int) -> tuple[Block, ...]:
        around, self._shared = self._shared, Locals(self._plan, function).checked
        blocks = self._blocks(function.blocks, depth)
        self._shared = around
        return blocks

    def _blocks(self, blocks: Sequence[Block], depth: int) -> tuple[Block, ...]:
        return tuple(Block(tuple(self._statements(block.statements, depth))) for block in blocks)

    def _statements(self, held: Sequence[Statement], depth: int) -> Iterator[Statement]:
        true: set[Operand] = set()  # locals that are not false
        for statement in held:
            if isinstance(statement, NotEqual) and statement.b == Constant(False) and statement.a in true:
                continue
            if isinstance(statement, Not):
                yield from negated(statement, self._blocks((statement.block,), depth + 1)[0])
            elif isinstance(statement, Call) and statement.func in self._opened:
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
        self._room -= length((Block(body),))
        if self._room < 0 or not _fits(Block(body), depth):
            return (call,)
        return (ResetLocal(target=call.result), *body) if call.result in self._shared else body


def _entry(plan: Plan, function: Function) -> Function:
    """The rule behind an entry point, with others where it asks for them first."""
    apart, fresh = set(_apart(plan)), _fresh(plan)
    room = LONGEST

    def stand_in(call: Call, depth: int, first: bool) -> Body:
        nonlocal room
        rule = plan.functions[call.func]
        if call.func in apart or not embeddable(plan, rule):
            return ()
        if not first and length(rule.blocks) > COPIED:
            return ()
        body = kept(plan, rule, call, fresh) if first else asking(plan, rule, call, fresh)
        room -= length((Block(body),))
        return body if room >= 0 and _fits(Block(body), depth) else ()

    def reach(statement: Statement) -> set[str]:
        names = [name for name in called(plan, statement) if name in plan.functions]
        return {*names, *reached(plan, map(plan.functions.__getitem__, names))}

    return shortened(asked_first(function, _rules(plan), stand_in, reach))
