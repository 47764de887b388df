"""The verifier refuses plans that regopy builds from unsafe policies without a word.

A plan is safe when every local has a value wherever it is read, on every path, and is assigned once; every call
resolves, with the right number of arguments; and no function calls itself, however indirectly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from policy.problem import Problem
from policy.rego.builtins.outside import REFUSED
from policy.rego.plan import (
    AssignVar,
    Block,
    Blocks,
    Call,
    CallDynamic,
    Constant,
    Function,
    IsDefined,
    IsUndefined,
    Local,
    Not,
    Place,
    Plan,
    ResetLocal,
    ReturnLocal,
    Scan,
    Statement,
    With,
    may_fail,
    statements,
)

Sources = Mapping[str, str]
DOCUMENT_ARGUMENTS = 2  # input and data come first


def verify(plan: Plan, sources: Sources, builtins: Mapping[str, int]) -> list[Problem]:
    """Everything that is unsafe in a plan. `sources` are modules by file; `builtins` the supported ones' arities. OPA
    has verified its own plans, but does not know which builtins there are here.
    """
    problems: list[Problem] = []
    for function in (*plan.functions.values(), *plan.queries.values()):
        problems += _calls(plan, function, builtins)
        if plan.dialect == "regopy":
            problems += _Locals(plan, function, sources).problems()
            twice = _assigned_twice(function.blocks)
            problems += [Problem(*place(plan, function, one), "variable is assigned twice") for one in twice]
    problems += _cycles(plan) if plan.dialect == "regopy" else ()
    return sorted(set(problems))


class _Locals:
    """Definite assignment in one function."""

    def __init__(self, plan: Plan, function: Function, sources: Sources):
        self._plan = plan
        self._function = function
        self._sources = sources
        self._known = set(function.params)  # given a value, or reset, somewhere before
        self._place = Place()
        self._found: list[Problem] = []

    def problems(self) -> list[Problem]:
        self._blocks(self._function.blocks, set(self._function.params))
        return self._found

    def _blocks(self, blocks: tuple[Block, ...], defined: set[int]) -> None:
        """Blocks in turn. After one, only what it defines before anything in it can fail is certain."""
        for block in blocks:
            certain = self._block(block, set(defined))[0] | self._made_if_undefined(block, defined)
            defined -= _resets(block)
            defined |= certain

    def _made_if_undefined(self, block: Block, defined: set[int]) -> set[int]:
        """A local that the block gives a value if it has none has one after it."""
        match block.statements:
            case (IsUndefined(source=Local(number=number)), *rest):
                found = len(self._found)
                made = self._block(Block(tuple(rest)), set(defined))[0]
                del self._found[found:]  # told already
                return made & {number}
        return set()

    def _block(self, block: Block, defined: set[int]) -> tuple[set[int], set[int]]:
        """What the block defines before anything in it can fail, and what is defined at its end."""
        certain: set[int] | None = None
        for statement in block.statements:
            if statement.at.line:
                self._place = statement.at
            if certain is None and may_fail(statement):
                certain = set(defined)
            self._reads(statement, defined)
            self._inside(statement, defined)
            self._effects(statement, defined)
            if certain is not None:
                certain -= _resets(Block((statement,)))
            if isinstance(statement, ReturnLocal):
                break
        return defined if certain is None else certain, defined

    def _reads(self, statement: Statement, defined: set[int]) -> None:
        if isinstance(statement, (IsDefined, IsUndefined)):
            unknown = {statement.source.number} - self._known
        else:
            unknown = {operand.number for operand in statement.reads() if isinstance(operand, Local)} - defined
        if unknown:
            self._found.append(self._problem())

    def _inside(self, statement: Statement, defined: set[int]) -> None:
        match statement:
            case Scan(key=key, value=value, block=block):
                self._known |= {key, value}
                self._block(block, defined | {key, value})
                defined -= _resets(block)
            case With(block=block):
                defined |= self._block(block, set(defined))[1]
            case Not() | Blocks():
                self._blocks(statement.blocks(), defined)

    def _effects(self, statement: Statement, defined: set[int]) -> None:
        match statement:
            case ResetLocal(target=target):
                self._known.add(target)
                defined.discard(target)
            case IsDefined(source=source):
                defined.add(source.number)
            case _:
                self._known |= set(statement.writes())
                defined |= set(statement.writes())

    def _problem(self) -> Problem:
        name = self._plan.files[self._place.file] if self._plan.files else self._function.title
        lines = self._sources.get(name, "").splitlines()
        text = lines[self._place.line - 1][self._place.column - 1 :] if 0 < self._place.line <= len(lines) else ""
        message = f"unsafe variable: nothing gives it a value, in {self._function.title}, at `{text.strip()[:80]}`"
        return Problem(name, self._place.line, self._place.column, message)


def _resets(block: Block) -> set[int]:
    return {one.target for one in statements((block,)) if isinstance(one, ResetLocal)}


def _assigned_twice(blocks: tuple[Block, ...], above: frozenset[int] = frozenset()) -> Iterator[Statement]:
    """`x := 1; x := 2`, where regopy would let the second win."""
    for block in blocks:
        assigned = set(above)
        for statement in block.statements:
            if isinstance(statement, AssignVar):
                if statement.target in assigned:
                    yield statement
                assigned.add(statement.target)
            elif isinstance(statement, ResetLocal):
                assigned.discard(statement.target)
            yield from _assigned_twice(statement.blocks(), frozenset(assigned))


def place(plan: Plan, function: Function, statement: Statement) -> tuple[str, int, int]:
    """File, line and column of a statement; where it has none, those of the last one before it that has."""
    last = Place()
    for one in statements(function.blocks):
        if one.at.line:
            last = one.at
        if one is statement:
            break
    return plan.files[last.file] if plan.files else "", last.line, last.column


def called(plan: Plan, statement: Statement) -> Iterator[str]:
    """Names of the functions that a statement may call: one, or all that a dynamic path may reach."""
    match statement:
        case Call(func=func):
            yield func
        case CallDynamic(path=path):
            yield from (one.name for one in plan.functions.values() if _reachable(path, one.path))


def _reachable(path: tuple[object, ...], target: tuple[str, ...]) -> bool:
    """Whether a rule lies at a path below `data`, above it or below it."""
    return target[:1] == ("g0",) and all(
        not isinstance(part, Constant) or part.value == name for part, name in zip(path[1:], target[1:], strict=False)
    )


def _calls(plan: Plan, function: Function, builtins: Mapping[str, int]) -> Iterator[Problem]:
    for statement in statements(function.blocks):
        if isinstance(statement, Call) and (fault := _fault(plan, statement, builtins)):
            yield Problem(*place(plan, function, statement), fault)


def _fault(plan: Plan, call: Call, builtins: Mapping[str, int]) -> str:
    if target := plan.functions.get(call.func):
        given, wanted = len(call.args) - DOCUMENT_ARGUMENTS, len(target.params) - DOCUMENT_ARGUMENTS
        return "" if given == wanted else f"{target.title} takes {wanted} arguments, not {given}"
    if call.func in builtins:
        wanted = builtins[call.func]
        return "" if len(call.args) == wanted else f"{call.func} takes {wanted} arguments, not {len(call.args)}"
    if call.func in REFUSED:
        return f"builtin {call.func} is refused: {REFUSED[call.func]}"
    return f"builtin {call.func} is not supported" if call.func in plan.builtins else f"unknown function {call.func}"


def _cycles(plan: Plan) -> Iterator[Problem]:
    """One problem for each call that closes a cycle."""
    finished: set[str] = set()
    for name in plan.functions:
        yield from _walk(plan, name, [], finished)


def _walk(plan: Plan, name: str, above: list[str], finished: set[str]) -> Iterator[Problem]:
    if name in finished or name not in plan.functions:
        return
    function = plan.functions[name]
    for statement in statements(function.blocks):
        for callee in called(plan, statement):
            if callee in (*above, name):
                titles = [plan.functions[one].title for one in _cycle([*above, name], callee)]
                yield Problem(*place(plan, function, statement), f"recursion: {' -> '.join(titles)}")
            else:
                yield from _walk(plan, callee, [*above, name], finished)
    finished.add(name)


def _cycle(path: Collection[str], back: str) -> list[str]:
    names = list(path)
    return [*names[names.index(back) :], back]
