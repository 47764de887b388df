"""What the compiler knows of whole rules: which to keep for an evaluation, which never change, which are booleans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from policy.rego.builtins import IMPURE
from policy.rego.plan import (
    DATA,
    INPUT,
    Ask,
    AssignVar,
    AssignVarOnce,
    Call,
    CallDynamic,
    Constant,
    Function,
    IsDefined,
    IsUndefined,
    Keep,
    Local,
    MakeSet,
    Operand,
    Plan,
    ReturnLocal,
    Scan,
    Statement,
    With,
    statements,
)
from policy.rego.verify import DOCUMENT_ARGUMENTS, called


def repeated(plan: Plan, fixed: tuple[str, ...]) -> Iterator[str]:
    """Rules worth keeping: called from more than one place, from a loop, or from what is itself called repeatedly."""
    sites = call_sites((*plan.functions.values(), *plan.queries.values()))
    for name, function in plan.functions.items():
        _, times = sites.get(name, (0, 0))
        if times > 1 and len(function.params) == DOCUMENT_ARGUMENTS and name not in fixed:
            yield name


def call_sites(functions: Iterable[Function]) -> dict[str, tuple[int, int]]:
    """By each function that is called: from how many places, and how often, where a place in a loop, or in what may be
    called repeatedly, counts as two.
    """
    places: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for function in functions:
        weight = 2 if len(function.params) > DOCUMENT_ARGUMENTS else 1
        for statement in statements(function.blocks):
            if isinstance(statement, Call):
                places[statement.func] += 1
                times[statement.func] += weight
            elif isinstance(statement, (Ask, Keep)):
                places[statement.func] += 1
                times[statement.func] += 2 if isinstance(statement, Ask) else 1
            elif isinstance(statement, Scan):
                times.update(one.func for one in statements((statement.block,)) if isinstance(one, Call))
    return {name: (count, times[name]) for name, count in places.items()}


def live(plan: Plan) -> dict[str, Function]:
    """Functions that an entry point may come to call. Others stand where they were called, or answer for their path."""
    return reached(plan, plan.queries.values())


def reached(plan: Plan, callers: Iterable[Function]) -> dict[str, Function]:
    """Functions that others may come to call."""
    found: dict[str, Function] = {}
    waiting = list(callers)
    while waiting:
        for statement in statements(waiting.pop().blocks):
            for name in called(plan, statement):
                if name in plan.functions and name not in found:
                    found[name] = plan.functions[name]
                    waiting.append(found[name])
    return found


def fixed_rules(plan: Plan) -> list[str]:
    """Rules whose value no document and no clock can change, callees first."""
    found: dict[str, bool] = {}

    def fixed(name: str) -> bool:
        if name not in found:
            found[name] = False
            function = plan.functions[name]
            value = all(one(statement) for statement in statements(function.blocks))
            del found[name]
            found[name] = value
        return found[name]

    def one(statement: Statement) -> bool:
        if isinstance(statement, Call):
            operands = statement.args
            if statement.func in plan.functions:
                return fixed(statement.func) and not _documents(operands[DOCUMENT_ARGUMENTS:])
            return statement.func not in IMPURE and not _documents(operands)
        if isinstance(statement, (IsDefined, IsUndefined)):
            return not _documents((statement.source,))
        return not isinstance(statement, (CallDynamic, With)) and not _documents(tuple(statement.reads()))

    for name in plan.functions:
        fixed(name)
    return [name for name, value in found.items() if value and len(plan.functions[name].params) == DOCUMENT_ARGUMENTS]


def data_rules(plan: Plan, fixed: tuple[str, ...]) -> list[str]:
    """Rules that read `data` and nothing else, and are worth keeping from one decision to the next."""
    found: dict[str, bool] = {}

    def pure(name: str) -> bool:
        if name not in found:
            found[name] = False
            found[name] = all(map(one, statements(plan.functions[name].blocks)))
        return found[name]

    def one(statement: Statement) -> bool:
        if isinstance(statement, Call) and statement.func in plan.functions:
            return (statement.func in fixed or pure(statement.func)) and not _uses_input(
                statement.args[DOCUMENT_ARGUMENTS:]
            )
        if isinstance(statement, (IsDefined, IsUndefined)):
            return statement.source.number != INPUT
        if isinstance(statement, (CallDynamic, With)):
            return False
        impure = isinstance(statement, Call) and statement.func in IMPURE
        return not impure and not _uses_input(tuple(statement.reads()))

    rules = [
        name
        for name, function in plan.functions.items()
        if name not in fixed and len(function.params) == DOCUMENT_ARGUMENTS and pure(name)
    ]
    return [
        name for name in rules if any(isinstance(one, (Scan, Call)) for one in statements(plan.functions[name].blocks))
    ]


def set_valued(function: Function) -> bool:
    """Whether everything that it may return is a set that it makes."""
    everything = list(statements(function.blocks))
    returned = {one.source for one in everything if isinstance(one, ReturnLocal)}
    written = [one for one in everything if any(Local(number) in returned for number in one.writes())]
    return bool(written) and len(returned) == 1 and all(isinstance(one, MakeSet) for one in written)


def boolean(function: Function) -> bool:
    """Whether everything that it may return is a boolean constant."""
    return all(isinstance(one, Constant) and type(one.value) is bool for one in _values(function))


def never_false(function: Function) -> bool:
    """Whether everything that it may return is a constant other than false."""
    return all(isinstance(one, Constant) and one.value is not False for one in _values(function))


def _values(function: Function) -> Iterator[Operand | None]:
    """What a function may return; None stands for what is made elsewhere."""
    everything = list(statements(function.blocks))
    returned = {one.source for one in everything if isinstance(one, ReturnLocal)}
    for statement in everything:
        if any(Local(number) in returned for number in statement.writes()):
            yield statement.source if isinstance(statement, (AssignVar, AssignVarOnce)) else None


def _uses_input(operands: tuple[Operand, ...]) -> bool:
    return Local(INPUT) in operands


def _documents(operands: tuple[Operand, ...]) -> bool:
    return any(isinstance(one, Local) and one.number in (INPUT, DATA) for one in operands)
