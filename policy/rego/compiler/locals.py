"""What the writer knows of a function's locals: how often each is read, which begin undefined, which are the answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from policy.rego.plan import (
    ArrayAppend,
    Ask,
    AssignVar,
    AssignVarOnce,
    Block,
    Blocks,
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
    Not,
    Operand,
    Plan,
    ResetLocal,
    ReturnLocal,
    Scan,
    SetAdd,
    Statement,
    With,
    may_fail,
    of_rule,
    statements,
)
from policy.rego.verify import DOCUMENT_ARGUMENTS

SHORT = 8  # elements of an array that need not be counted


class Locals:
    """Facts about the locals of one function."""

    def __init__(self, plan: Plan, function: Function):
        self._plan = plan
        everything = list(statements(function.blocks))
        self._reads = Counter(one.number for held in everything for one in held.reads() if isinstance(one, Local))
        self.orders = _orders(everything)  # how often each may be given a value that must be the only one
        self.checked = _checked(everything)
        self.unset = _unset(function)
        self.wholes = {one.number for held in everything if not isinstance(held, Dot) for one in self.used(held)}
        self.wholes |= {held.key.number for held in everything if isinstance(held, Dot) and isinstance(held.key, Local)}
        self.dots: dict[int, list[int]] = defaultdict(list)  # targets of look-ups in each
        for held in everything:
            if isinstance(held, Dot) and isinstance(held.source, Local):
                self.dots[held.source.number].append(held.target)
        self.composite = _composite(everything)
        self.sets = _made_by(everything, (MakeSet,))
        self.short = set(_short(function.blocks))
        self.lazy_sets = _lazy_sets(function, everything)
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
    return _made_by(everything, (MakeArray, MakeObject, MakeSet))


def _made_by(everything: list[Statement], kinds: tuple[type[Statement], ...]) -> set[int]:
    """Locals that hold what such statements make, wherever they have a value."""
    made = {number for one in everything if isinstance(one, kinds) for number in one.writes()}
    return made - {number for one in everything if not isinstance(one, kinds) for number in one.writes()}


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


def _unset(function: Function) -> list[int]:
    """Locals that are asked for where they may not have been given a value, or none, before."""
    found: set[int] = set()
    _settled(function.blocks, frozenset(function.params), found)
    return sorted(found)


def _settled(blocks: Iterable[Block], settled: frozenset[int], found: set[int]) -> frozenset[int]:
    """Locals that have a value, or none, after blocks in turn, whatever becomes of them: those that were reset, and
    results of rules, which are there in any case.
    """
    for block in blocks:
        certain: frozenset[int] | None = None
        held = settled
        for statement in block.statements:
            found |= _checked([statement]) - held
            after = _settled(statement.blocks(), held, found)
            if isinstance(statement, (Blocks, Not)):
                held = after
            elif isinstance(statement, ResetLocal):
                held |= {statement.target}
            elif isinstance(statement, Ask) or (isinstance(statement, Call) and of_rule(statement.func)):
                held |= {statement.result}
            if certain is None and may_fail(statement):
                certain = held
        settled = held if certain is None else certain
    return settled


def _short(blocks: Iterable[Block]) -> Iterator[int]:
    """Locals that hold an array of a few elements, each added where it is made."""
    for block in blocks:
        made = {one.target for one in block.statements if isinstance(one, MakeArray)}
        added = Counter(one.array.number for one in block.statements if isinstance(one, ArrayAppend))
        yield from (number for number in made if 0 < added[number] <= SHORT)
        for statement in block.statements:
            yield from _short(statement.blocks())


def _lazy_sets(function: Function, everything: list[Statement]) -> set[int]:
    """Sets that need not be made before they have an element: used as a whole only when all elements are there, and
    made in each round of a loop anew.
    """
    found = _made_by(everything, (MakeSet,))
    return found - set(_grown_after_use(everything)) - set(_kept_in_loops(everything))


def _grown_after_use(everything: list[Statement]) -> Iterator[int]:
    used: set[int] = set()
    for statement in everything:
        if isinstance(statement, SetAdd):
            yield from {statement.set.number} & used
        elif isinstance(statement, MakeSet):
            used.discard(statement.target)
        used |= _whole(statement)


def _kept_in_loops(everything: list[Statement]) -> Iterator[int]:
    """Sets that a loop uses, but does not make."""
    for scan in everything:
        if isinstance(scan, Scan):
            inside = list(statements((scan.block,)))
            used = set().union(*map(_whole, inside))
            yield from used - {one.target for one in inside if isinstance(one, MakeSet)}


def _whole(statement: Statement) -> set[int]:
    """Locals that a statement reads, less the set that it adds to."""
    read = {one.number for one in statement.reads() if isinstance(one, Local)}
    if isinstance(statement, SetAdd) and statement.value != statement.set:
        read.discard(statement.set.number)
    return read


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
