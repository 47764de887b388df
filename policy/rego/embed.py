"""A rule's or function's body as it stands in for a call: its statements, with locals of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from policy.rego.compiler.expressions import TESTS
from policy.rego.compiler.locals import Locals
from policy.rego.plan import (
    DATA,
    INPUT,
    Ask,
    AssignVar,
    AssignVarOnce,
    Block,
    Blocks,
    Break,
    Call,
    Constant,
    Dot,
    Equal,
    Function,
    IsDefined,
    IsUndefined,
    Keep,
    Leave,
    Local,
    NotEqual,
    Operand,
    Plan,
    ResetLocal,
    ReturnLocal,
    Scan,
    Statement,
    With,
    may_fail,
    statements,
    with_blocks,
)
from policy.rego.rename import numbers, relocated
from policy.rego.values import RegoSet
from policy.rego.verify import DOCUMENT_ARGUMENTS

SHORT = 9  # statements of a body that costs less than a call

Body = tuple[Statement, ...]


def embeddable(plan: Plan, function: Function) -> bool:
    """Whether a body can stand in for a call: it returns a local of its own at its end, has no breaks, and a loop that
    finds the answer is the end of its block.
    """
    everything = list(statements(function.blocks))
    returns = [one for one in everything if isinstance(one, ReturnLocal)]
    last = function.blocks[-1].statements[-1:] if function.blocks else ()
    if len(returns) != 1 or last != (returns[0],) or any(isinstance(one, Break) for one in everything):
        return False
    if not isinstance(returns[0].source, Local) or returns[0].source.number in function.params:
        return False
    known = Locals(plan, function)
    return not any(_answers_midway(block, known) for block in function.blocks)


def embedded(plan: Plan, function: Function, call: Call, fresh: Iterator[int]) -> Body:
    """What stands in for a call of an embeddable function, undefined where the call would be."""
    before, bodies, only = _parts(plan, function, call, fresh)
    if only:
        return (*before, *bodies[0].statements)
    return (*before, Blocks(at=call.at, inner=bodies), IsDefined(at=call.at, source=Local(call.result)))


def kept(plan: Plan, function: Function, call: Call, fresh: Iterator[int]) -> Body:
    """What stands in for the first call of an embeddable rule, undefined where the call would be; others find what it
    gave.
    """
    before, bodies, only = _parts(plan, function, call, fresh)
    result = Local(call.result)
    first = (*before, ResetLocal(target=call.result)) if only else before
    keep = Keep(at=call.at, func=call.func, source=result)
    return (*first, Blocks(at=call.at, inner=bodies), keep, IsDefined(at=call.at, source=result))


def asking(plan: Plan, function: Function, call: Call, fresh: Iterator[int]) -> Body:
    """What stands in for a call of an embeddable rule, undefined where the call would be, if others may have asked."""
    *inner, _, defined = kept(plan, function, call, fresh)
    return (Ask(at=call.at, func=call.func, result=call.result, inner=tuple(_apart(inner))), defined)


def _apart(held: Sequence[Statement]) -> Iterator[Block]:
    """Statements that cannot be undefined, and the blocks at their end."""
    *first, last = held
    yield Block(tuple(first))
    yield from last.blocks()


def _parts(plan: Plan, function: Function, call: Call, fresh: Iterator[int]) -> tuple[Body, tuple[Block, ...], bool]:
    """What cannot be undefined, and the bodies that give the result a value; whether there is but one, at whose end it
    has one.
    """
    known, result = Locals(plan, function), _result(function)
    own = {*numbers(function.blocks), *function.params} - {INPUT, DATA}
    names = {number: next(fresh) for number in sorted(own)} | {result: call.result}
    given = zip(function.params[DOCUMENT_ARGUMENTS:], call.args[DOCUMENT_ARGUMENTS:], strict=True)
    params = tuple(AssignVar(at=call.at, source=arg, target=names[one]) for one, arg in given)
    reset = tuple(ResetLocal(target=one) for one in known.unset if one != result)
    bodies = _bodies(function)
    if (only := _only(bodies, result)) is not None:
        return (*params, *relocated(reset, names)), (Block(relocated(only, names)),), True
    first = list(takewhile(_certain, bodies))
    rest = _until_answered(bodies[len(first) :], known)
    start = [one for body in first for one in body if not (isinstance(one, ResetLocal) and one.target == result)]
    fresh_result = () if any(result in one.writes() for one in start) else (ResetLocal(target=result),)
    before = relocated((*reset, *fresh_result, *start), names)
    blocks = tuple(Block(relocated(body, names)) for body in rest)
    return (*params, *before), blocks, False


def height(blocks: Sequence[Block]) -> int:
    """How many blocks lie in one another."""
    inside = (max((height(one.blocks()) for one in block.statements), default=0) for block in blocks)
    return max((1 + held for held in inside), default=0)


def length(blocks: tuple[Block, ...]) -> int:
    """How many statements there are."""
    return sum(1 for _ in statements(blocks))


def constant(function: Function) -> bool:
    """Whether an embeddable function is no more than a text, a number or a boolean."""
    only = _only(_bodies(function), _result(function))
    return only is not None and len(only) == 1 and _scalar(only[0].source)  # type: ignore[attr-defined]


def short(function: Function) -> bool:
    """Whether an embeddable function does no more than look up and compare a few things: less than a call costs."""
    only = _only(_bodies(function), _result(function))
    return only is not None and len(only) <= SHORT and all(map(_plain, only))


def _plain(statement: Statement) -> bool:
    """Whether a statement is a look-up by a key known now, or a test of a local against a constant."""
    match statement:
        case Dot(source=Local(), key=Constant()) | AssignVar(source=Constant()):
            return True
        case Equal(a=a, b=b) | NotEqual(a=a, b=b):
            return isinstance(a, Constant) or isinstance(b, Constant)
        case Call(func=func):
            return func in TESTS
    return False


def _scalar(operand: Operand) -> bool:
    return isinstance(operand, Constant) and not isinstance(operand.value, (list, dict, RegoSet))


def _result(function: Function) -> int:
    source = function.blocks[-1].statements[-1].source  # type: ignore[attr-defined]
    return int(source.number)


def _bodies(function: Function) -> list[Body]:
    """What a function does until it returns."""
    *bodies, last = (block.statements for block in function.blocks)
    before = last[:-1]
    asked = len(before) == 1 and isinstance(before[0], IsDefined) and before[0].source.number == _result(function)
    return bodies if asked or not before else [*bodies, before]


def _only(bodies: Sequence[Body], result: int) -> Body | None:
    """The body of a rule that has one, and gives its value at the end."""
    held = [body for body in bodies if not all(isinstance(one, ResetLocal) for one in body)]
    if len(held) != 1:
        return None
    *before, last = held[0]
    if not isinstance(last, (AssignVar, AssignVarOnce)) or last.target != result:
        return None
    if result in numbers((Block(tuple(before)),)) or last.source == Local(result):
        return None
    return (*before, AssignVar(at=last.at, source=last.source, target=result))


def _certain(body: Body) -> bool:
    return not any(may_fail(one) or one.blocks() for one in body)


def _answers_midway(block: Block, known: Locals) -> bool:
    """Whether something may follow in the block when the answer is found in a loop, or with other documents."""
    for at, statement in enumerate(block.statements, 1):
        ends = isinstance(statement, Scan) and at == len(block.statements)
        if isinstance(statement, (Scan, With)) and not ends:
            if any(map(known.answers, statements(statement.blocks()))):
                return True
        elif (not ends and any(_answers_midway(one, known) for one in statement.blocks())) or any(
            isinstance(one, With) for one in statements(statement.blocks())
        ):
            return True
    return False


def _until_answered(bodies: Sequence[Body], known: Locals) -> list[Body]:
    """Bodies that all give the same value, as ones of which those after the first that does so are left out."""
    made: list[Body] = []
    answered = False
    for body in bodies:
        answers = [one for one in statements((Block(body),)) if known.answers(one)]
        inside = tuple(part for one in body for part in _answering(one, known))
        asked = bool(answers) and answered and not isinstance(body[0], IsUndefined)
        made.append((IsUndefined(source=Local(answers[0].target)), *inside) if asked else inside)  # type: ignore[attr-defined]
        answered = answered or bool(answers)
    return made


def _answering(statement: Statement, known: Locals, loops: int = 0) -> Body:
    """A statement of a body; one that gives the answer in a loop leaves that."""
    if isinstance(statement, AssignVarOnce) and known.answers(statement):
        given = AssignVar(at=statement.at, source=statement.source, target=statement.target)
        return (given, Leave(at=statement.at, loops=loops)) if loops else (given,)
    if isinstance(statement, Blocks) and not loops:
        inner = _until_answered([block.statements for block in statement.inner], known)
        return (replace(statement, inner=tuple(map(Block, inner))),)
    loops += isinstance(statement, Scan)
    bodies = ([_answering(one, known, loops) for one in block.statements] for block in statement.blocks())
    return (with_blocks(statement, tuple(Block(tuple(part for parts in body for part in parts)) for body in bodies)),)
