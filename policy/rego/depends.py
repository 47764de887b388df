"""What a function may read of the documents, whatever they hold: paths such as `input.principal.id`, as tuples."""

from __future__ import annotations

from collections.abc import Iterator

from policy.rego import analysis
from policy.rego.builtins import IMPURE
from policy.rego.plan import (
    DATA,
    INPUT,
    AssignVar,
    Call,
    CallDynamic,
    Constant,
    Dot,
    Function,
    Local,
    Operand,
    Plan,
    Statement,
    statements,
)
from policy.rego.verify import DOCUMENT_ARGUMENTS

Path = tuple[str, ...]


def depends(plan: Plan, function: Function) -> tuple[Path, ...]:
    """Paths that a function, or one that it may call, may read, shortest prefix only, in order. A builtin that reads
    the clock counts by its name.
    """
    paths: set[Path] = set()
    for one in reached(plan, function):
        paths |= set(_paths(plan, one))
    kept = {path for path in paths if not any(path[:length] in paths for length in range(1, len(path)))}
    return tuple(sorted(kept))


def reached(plan: Plan, function: Function) -> list[Function]:
    """The function and all that it may call."""
    return [function, *analysis.reached(plan, [function]).values()]


def _paths(plan: Plan, function: Function) -> Iterator[Path]:
    """Every path whose value is used for more than to look deeper into it."""
    known: dict[int, set[Path]] = {function.params[INPUT]: {("input",)}, function.params[DATA]: {("data",)}}
    deeper: set[int] = {INPUT, DATA}
    used: set[int] = set()
    for statement in statements(function.blocks):
        match statement:
            case Dot(source=Local(number=source), key=Constant(value=str(step)), target=target) if source in known:
                known.setdefault(target, set()).update((*path, step) for path in known[source])
                deeper.add(source)
            case AssignVar(source=Local(number=source), target=target) if source in known:
                known.setdefault(target, set()).update(known[source])
                deeper.add(source)
            case _:
                used |= {one.number for one in _operands(plan, statement) if isinstance(one, Local)}
        if isinstance(statement, Call) and statement.func in IMPURE:
            yield (statement.func,)
    for local in known:
        if local in used or local not in deeper:
            yield from known[local]


def _operands(plan: Plan, statement: Statement) -> tuple[Operand, ...]:
    """What a statement reads, less the documents that every call passes on."""
    if isinstance(statement, CallDynamic):
        return (*statement.args[DOCUMENT_ARGUMENTS:], *statement.path)
    if isinstance(statement, Call) and statement.func in plan.functions:
        return statement.args[DOCUMENT_ARGUMENTS:]
    return tuple(statement.reads())
