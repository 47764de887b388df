"""What the writer knows of a function's locals: how often each is read, which begin undefined, which are the answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import takewhile

from policy.rego.plan import (
    AssignVar,
    AssignVarOnce,
    Block,
    Call,
    CallDynamic,
    Constant,
    Dot,
    Function,
    IsDefined,
    IsUndefined,
    Local,
    MakeArray,
    MakeObject,
    MakeSet,
    Operand,
    Plan,
    ResetLocal,
    ReturnLocal,
    Scan,
    SetAdd,
    Statement,
    With,
    statements,
)
from policy.rego.verify import DOCUMENT_ARGUMENTS


class Locals:
    """Facts about the locals of one function."""

    def __init__(self, plan: Plan, function: Function):
        self._plan = plan
        everything = list(statements(function.blocks))
        self._reads = Counter(one.number for held in everything for one in held.reads() if isinstance(one, Local))
        self.orders = _orders(everything)  # how often each may be given a value that must be the only one
        self.unset = sorted(_checked(everything) - set(function.params) - _reset_first(function))
        self.wholes = {one.number for held in everything if not isinstance(held, Dot) for one in self.used(held)}
        self.wholes |= {held.key.number for held in everything if isinstance(held, Dot) and isinstance(held.key, Local)}
        self.dots: dict[int, list[int]] = defaultdict(list)  # targets of look-ups in each
        for held in everything:
            if isinstance(held, Dot) and isinstance(held.source, Local):
                self.dots[held.source.number].append(held.target)
        self.composite = _composite(everything)
        self.lazy_set = _lazy_set(function, everything)
        self._answer = _answer(function)

    def read(self, number: int) -> int:
        """How many operands read a local."""
        return self._reads[number]

    def used(self, statement: Statement) -> Iterator[Local]:
        """Locals that a statement reads, less the documents that every call of a rule passes on."""
        operands: tuple[Operand, ...] = tuple(statement.reads())
        if isinstance(statement, (IsDefined, IsUndefined)):
            operands = (statement.source,)
        elif isinstance(statement, CallDynamic):
            operands = (*statement.args[DOCUMENT_ARGUMENTS:], *statement.path)
        elif isinstance(statement, Call) and statement.func in self._plan.functions:
            operands = statement.args[DOCUMENT_ARGUMENTS:]
        return (one for one in operands if isinstance(one, Local))

    def answers(self, statement: Statement) -> bool:
        """Whether a statement gives the function the one value that it can have: nothing after it matters."""
        return isinstance(statement, AssignVarOnce) and statement.target in self._answer


def _orders(everything: list[Statement]) -> Counter[int]:
    orders: Counter[int] = Counter()
    for statement in everything:
        if isinstance(statement, (AssignVar, AssignVarOnce)):
            orders[statement.target] += 1
        elif isinstance(statement, Scan):
            orders.update(one.target for one in statements((statement.block,)) if isinstance(one, AssignVarOnce))
    return orders


def _composite(everything: list[Statement]) -> set[int]:
    """Locals that hold an array, object or set, whatever happens."""
    made = {one.target for one in everything if isinstance(one, (MakeArray, MakeObject, MakeSet))}
    other = {n for one in everything if not isinstance(one, (MakeArray, MakeObject, MakeSet)) for n in one.writes()}
    return made - other


def _checked(everything: list[Statement]) -> set[int]:
    """Locals that are asked for before they may have a value."""
    found: set[int] = set()
    for statement in everything:
        match statement:
            case AssignVarOnce(target=target):
                found.add(target)
            case IsDefined(source=source) | IsUndefined(source=source):
                found.add(source.number)
            case With(local=local):
                found.add(local)  # a value that stands in for a builtin has no value before
    return found


def _reset_first(function: Function) -> set[int]:
    """Locals that the first block resets before anything else."""
    first = function.blocks[0].statements if function.blocks else ()
    return {one.target for one in takewhile(lambda one: isinstance(one, ResetLocal), first)}  # type: ignore[attr-defined]


def _lazy_set(function: Function, everything: list[Statement]) -> int | None:
    """The set that a rule collects, if it is one: it need not be made before it has an element."""
    returned = {
        one.source.number for one in everything if isinstance(one, ReturnLocal) and isinstance(one.source, Local)
    }
    made = [one.target for block in function.blocks for one in block.statements if isinstance(one, MakeSet)]
    found = returned & set(made)
    if len(found) != 1 or len(returned) != 1:
        return None
    (number,) = found
    others = [one for one in everything if number in one.writes() and not isinstance(one, MakeSet)]
    uses = [one for one in everything for held in one.reads() if held == Local(number)]
    plain = all(isinstance(one, (SetAdd, ReturnLocal)) for one in uses)
    return number if made.count(number) == 1 and not others and plain else None


def _answer(function: Function) -> frozenset[int]:
    """Locals whose one value is what the function returns, wherever it comes from, but for a default after all else."""
    blocks = [block for block in function.blocks if block.statements]
    if (
        not blocks
        or not isinstance(last := blocks[-1].statements[-1], ReturnLocal)
        or not isinstance(last.source, Local)
    ):
        return frozenset()
    result = last.source.number
    if len(blocks) > 1 and _default(blocks[-2], result):
        blocks = [*blocks[:-2], blocks[-1]]
    everything = list(statements(tuple(blocks)))
    copied = [one for one in everything if isinstance(one, AssignVarOnce) and one.target == result]
    sources = {one.source.number for one in copied if isinstance(one.source, Local)}
    if len(sources) == 1 and all(isinstance(one.source, Local) for one in copied):
        result = next(iter(sources))  # OPA's planner gives each rule a local of its own, and copies it
    given = [one for one in everything if result in one.writes()]
    values = {(type(one.source.value), one.source.value) for one in given if _constant(one)}  # type: ignore[attr-defined]
    reset = any(isinstance(one, IsUndefined) and one.source.number == result for one in everything)
    return (
        frozenset({result}) if given and all(map(_constant, given)) and len(values) == 1 and not reset else frozenset()
    )


def _constant(statement: Statement) -> bool:
    return (
        isinstance(statement, AssignVarOnce)
        and isinstance(statement.source, Constant)
        and type(statement.source.value) in (bool, str)
    )


def _default(block: Block, result: int) -> bool:
    """Whether a block gives the result a value that it lacks."""
    first, *rest = block.statements
    return (
        isinstance(first, IsUndefined)
        and first.source.number == result
        and all(isinstance(one, AssignVarOnce) for one in rest)
    )
