"""Writes one function of a plan: its blocks, the ways out of them, and the report of what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from policy.rego.builtins import IMPURE, VALUELESS
from policy.rego.compiler.expressions import PYTHON_TYPES, TESTS, local, shape
from policy.rego.compiler.flow import NONLOCAL, Flow, Lines, shared
from policy.rego.compiler.locals import Locals
from policy.rego.compiler.origins import Path, continues, filtered, origins, static, static_reads
from policy.rego.compiler.reads import Reads, reported
from policy.rego.compiler.values import Values
from policy.rego.plan import (
    DATA,
    INPUT,
    AssignVarOnce,
    Block,
    Blocks,
    Break,
    Call,
    CallDynamic,
    Constant,
    Dot,
    Equal,
    Function,
    IsDefined,
    IsType,
    IsUndefined,
    Len,
    Local,
    Not,
    NotEqual,
    Operand,
    Place,
    Plan,
    ResultSetAdd,
    ReturnLocal,
    Scan,
    Statement,
    With,
    may_fail,
    statements,
)
from policy.rego.verify import DOCUMENT_ARGUMENTS, place

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source


def written(plan: Plan, function: Function, source: Source, sources: Mapping[str, str]) -> str:
    """Python of one function."""
    return _Writer(plan, function, source, sources).written()


class _Writer:
    def __init__(self, plan: Plan, function: Function, source: Source, sources: Mapping[str, str]):
        self._plan = plan
        self._function = function
        self._source = source
        self._sources = sources
        self._lines = Lines()
        self._flow = Flow(self._lines)
        self._reads = Reads(source)
        self._origins = origins(function)
        self._locals = Locals(plan, function)
        self._values = Values(plan, function, source, self._locals)
        self._loops = 0
        self._beside = Place()

    def written(self) -> str:
        params = [local(number) for number in self._function.params]
        name = self._source.names[self._function.name]
        self._lines.add(f"def {name}({', '.join((*params, 'm'))}):  # {self._title()}")
        with self._lines.deeper():
            if any(isinstance(one, ResultSetAdd) for one in statements(self._function.blocks)):
                self._lines.add("results = []")
            self._lines.add(*(f"{local(number)} = U" for number in self._locals.unset))
            ended = False
            for block in self._function.blocks:
                ended = self._block(block)
            if not ended:
                self._return("U" if self._function.path else "results")
            if any("t.append(" in line for line in self._lines.text):
                self._lines.insert(1, "t = m[1]")
            self._share(params)
        return "\n".join(self._lines.text)

    def _share(self, params: list[str]) -> None:
        """Where blocks are functions of their own, let them write this one's locals."""
        text = self._lines.text
        if any(line.lstrip() == NONLOCAL for line in text):
            first, inside = shared(text, params)
            text[:] = [line.replace(NONLOCAL, inside) for line in text]
            for line in reversed(first):
                self._lines.insert(1, line)

    def _title(self) -> str:
        for statement in statements(self._function.blocks):
            if statement.at.line:
                file, line, _ = place(self._plan, self._function, statement)
                return _one_line(f"{self._function.title} at {file}:{line}")
        return _one_line(self._function.title)

    def _note_line(self, at: Place, written_from: int) -> None:
        """Put the Rego line beside the first Python line that was written for it."""
        if not at.line or at == self._beside or len(self._lines.text) == written_from:
            return
        fresh = (at.file, at.line) != (self._beside.file, self._beside.line)
        self._beside = at
        files = self._plan.files
        text = self._sources.get(files[at.file], "").splitlines() if at.file < len(files) else []
        if fresh and at.line <= len(text):
            self._lines.text[written_from] += _one_line(f"  # {at.line}: {text[at.line - 1].strip()}")

    # Blocks. Each returns whether its end is never reached.

    def _block(self, block: Block) -> bool:
        """A block whose end matters to nobody."""
        if not any(may_fail(one) for one in block.statements) and not _breaks(block):
            return self._statements(block)
        first, *rest = block.statements
        if isinstance(first, IsDefined) and len(rest) == 1 and isinstance(rest[0], ReturnLocal):
            return self._statements(Block((rest[0],)))  # undefined is what the caller gets either way
        with self._flow.loop("while True:", "break"), self._reads.block():
            if not self._statements(block):
                self._leave(0)
        return False

    def _statements(self, block: Block) -> bool:
        held, at = block.statements, 0
        while at < len(held):
            before = len(self._lines.text)
            self._documents(held[at])
            taken = self._several(held, at) or self._one(held[at])
            self._note_line(held[at].at, before)
            if isinstance(held[at], (Break, ReturnLocal)) or self._locals.answers(held[at]):
                return True
            at += taken
        return False

    def _completes(self, block: Block) -> str:
        """Run a block; the name of the flag that says whether it came to its end."""
        flag = self._flow.flag("done")
        self._lines.add(f"{flag} = False")
        with self._flow.loop("while True:", "break"), self._reads.block():
            if not self._statements(block):
                self._lines.add(*self._reads.leaving(1), f"{flag} = True", "break")
        return flag

    # Ways out.

    def _leave(self, index: int, also: Path | None = None) -> None:
        self._lines.add(*self._reads.leaving(index + 1, also))
        self._flow.leave(index)

    def _leave_if(self, condition: str, also: Path | None = None) -> None:
        """Leave the block on a condition; `also` is the path at which there was nothing."""
        self._lines.add(f"if {condition}:")
        with self._lines.deeper():
            self._leave(0, also)

    def _return(self, value: str) -> None:
        self._lines.add(*self._reads.returning())
        self._flow.end(value)

    # Reads.

    def _documents(self, statement: Statement) -> None:
        """Report the documents where a statement uses one as a whole, and a builtin that asks clock or chance."""
        if isinstance(statement, Dot):
            return
        if isinstance(statement, Call) and statement.func in IMPURE:
            self._reads.note((statement.func,))
        used = [one.number for one in self._locals.used(statement)]
        for document, path in ((INPUT, ("input",)), (DATA, ("data",))):
            if document in used:
                self._reads.note(path)

    def _report(self, path: Path) -> None:
        if static(path):
            self._reads.note(path)
        else:
            self._lines.add(reported(path))

    # Statements that are written together with the next one; how many are.

    def _several(self, block: Sequence[Statement], at: int) -> int:
        statement = block[at]
        following = block[at + 1] if at + 1 < len(block) else None
        match statement:
            case Dot():
                return self._dot(statement, following, continues(block, at))
            case Call() if following is not None and self._only_tested(statement, following):
                self._test(statement)
                return 2
            case NotEqual(a=Local(number), b=Constant(False)) if number in self._locals.composite:
                return 1
        return 0

    def _dot(self, dot: Dot, following: Statement | None, on_the_way: bool) -> int:
        path, source = self._origins.get(dot.target), self._origins.get(_number(dot.source))
        on_the_way = on_the_way and path is not None and dot.target not in self._locals.wholes
        if on_the_way and self._passing(dot):
            return 1
        if not on_the_way and (read := path or source):
            self._report(read)
        value, name = self._values.looked_up(dot, path, source), local(dot.target)
        wanted = _compared(dot, following)
        if wanted is not None and self._locals.read(dot.target) == 1:
            self._leave_if(self._unlike(f"({value})" if " if " in value else value, wanted))
            return 2
        self._lines.add(f"{name} = {value}")
        if isinstance(following, Equal) and self._second(dot.target, following):
            return 1  # nothing equals what is undefined
        if wanted is not None:
            self._leave_if(self._unlike(name, wanted))
            return 2
        if _not_false(following, dot.target):
            self._leave_if(f"{name} is U or {name} is False")
            return 2
        self._leave_if(f"{name} is U", path if on_the_way else None)
        return 1

    def _second(self, number: int, equal: Equal) -> bool:
        """Whether a local is only compared with another one, in the next statement."""
        sides = (equal.a, equal.b)
        return equal.a != equal.b and Local(number) in sides and all(isinstance(one, Local) for one in sides)

    def _unlike(self, value: str, wanted: Operand) -> str:
        word = "is not" if shape(wanted) == "singleton" else "!="
        return f"{value} {word} {self._values.operand(wanted)}"

    def _passing(self, dot: Dot) -> bool:
        """Whether what a look-up finds is only looked into, and that by what was done at the start."""
        if self._origins.get(dot.target) in self._source.getters:
            return True
        readers = self._locals.dots.get(dot.target, ())
        return all(self._origins.get(one) in self._source.hoisted for one in readers)

    def _only_tested(self, call: Call, following: Statement) -> bool:
        """Whether all that matters of a call is that its result, a boolean or nothing, is not false."""
        return (
            _not_false(following, call.result)
            and (call.func in TESTS or call.func in self._source.booleans)
            and not (self._source.strict and call.func in TESTS)
        )

    def _test(self, call: Call) -> None:
        if call.func in TESTS and self._locals.read(call.result) == 1:
            self._leave_if(f"not {self._values.condition(call)}")
            return
        self._result(call)
        self._leave_if(f"{local(call.result)} is not True")

    # One statement.

    def _one(self, statement: Statement) -> int:
        if (condition := self._fails(statement)) is not None:
            self._leave_if(condition)
            return 1
        match statement:
            case Call() | CallDynamic():
                self._call(statement)
            case Len(source=source, target=target):
                self._lines.add(f"{local(target)} = length({self._values.operand(source)})")
                self._leave_if(f"{local(target)} is U")
            case Break(index=index):
                self._leave(index)
            case ReturnLocal(source=source):
                self._return(self._values.operand(source))
            case Scan() | Not() | With() | Blocks():
                self._nested(statement)
            case AssignVarOnce(source=source) if self._locals.answers(statement):
                self._return(self._values.operand(source))
            case _:
                self._lines.add(*self._values.made(statement, in_loop=self._loops > 0))
        return 1

    def _fails(self, statement: Statement) -> str | None:
        """Condition on which a check ends its block."""
        o = self._values.operand
        match statement:
            case Equal(a=a, b=b):
                return self._values.differ(a, b)
            case NotEqual(a=a, b=b):
                return self._values.same(a, b)
            case IsDefined(source=source):
                return f"{o(source)} is U"
            case IsUndefined(source=source):
                return f"{o(source)} is not U"
            case IsType(source=source, kind=kind):
                return f"type({o(source)}) not in {PYTHON_TYPES[kind]}"
        return None

    def _nested(self, statement: Statement) -> None:
        match statement:
            case Scan():
                self._scan(statement)
            case Not(block=block):
                self._not(block)
            case With():
                self._with(statement)
            case Blocks(inner=inner):
                for block in inner:
                    self._block(block)

    def _scan(self, scan: Scan) -> None:
        for path in sorted(static_reads(scan.block, self._origins), key=len):
            self._reads.note(path)
        self._loops += 1
        with self._flow.loop(self._head(scan), "continue"), self._reads.block(certain=False):
            if not self._statements(scan.block):
                self._lines.add(*self._reads.leaving(1))
        self._loops -= 1

    def _head(self, scan: Scan) -> str:
        """One element costs nothing: it repeats nothing."""
        source, value, filtering = self._values.operand(scan.source), local(scan.value), filtered(scan)
        found = f"scan({source}, m)"
        if filtering is not None:
            wanted = self._values.operand(filtering[1])
            found = f"{self._index(scan, filtering[0])}, {filtering[0]!r}, {wanted}, {source}, m)"
        if self._locals.read(scan.key):
            return f"for {local(scan.key)}, {value} in {found}:"
        several = f"elements({source}, m)" if filtering is None else f"[one for _, one in {found}]"
        return f"for {value} in ({source} if type({source}) is list and len({source}) < 2 else {several}):"

    def _index(self, scan: Scan, member: str) -> str:
        """The beginning of a call that finds elements by a member: in data by an index that is kept until it changes,
        elsewhere by one that is made in this evaluation when it is wanted again.
        """
        path = self._origins.get(_number(scan.source))
        if path is not None and path[0] == "data" and static(path):
            return f"indexed({self._source.index(path, member)}, {path}"
        return f"indexed_now({self._source.slot_of_index()}"

    def _not(self, block: Block) -> None:
        call, following = block.statements if len(block.statements) == 2 else (None, None)
        if isinstance(call, Call) and following is not None and self._only_tested(call, following):
            self._documents(call)
            self._not_tested(call)
        else:
            self._leave_if(self._completes(block))

    def _not_tested(self, call: Call) -> None:
        if call.func in TESTS and self._locals.read(call.result) == 1:
            self._leave_if(self._values.condition(call))
            return
        self._result(call)
        self._leave_if(f"{local(call.result)} is True")

    def _with(self, statement: With) -> None:
        document, saved = local(statement.local), self._flow.flag("saved")
        value = self._values.operand(statement.value)
        self._lines.add(
            f"{saved} = {document}, m",
            f"{document} = upserted({document}, {statement.path!r}, {value})",
            "m = memory(input, data, *inner(m))",
        )
        flag = self._completes(statement.block)
        self._lines.add(f"{document}, m = outer({saved}, m)")
        self._leave_if(f"not {flag}")

    def _call(self, call: Call | CallDynamic) -> None:
        if self._result(call):
            self._leave_if(f"{local(call.result)} is U")

    def _result(self, call: Call | CallDynamic) -> bool:
        """Put a call's result into its local; whether it may be undefined."""
        target = local(call.result)
        rule = self._plan.functions.get(call.func) if isinstance(call, Call) else None
        if rule is not None and len(rule.params) != len(call.args):
            self._lines.add(f"{target} = U")  # OPA plans a function as a rule where it plans all of a package
            return True
        args = [self._values.operand(one) for one in call.args]
        if isinstance(call, CallDynamic):
            steps = "".join(f"{self._values.operand(one)}, " for one in call.path)
            self._lines.add(f"{target} = dynamic(({steps}), {', '.join(args[:DOCUMENT_ARGUMENTS])}, m)")
            return True
        if call.func in self._source.slots:
            self._kept(call.func, target, args)
        elif self._values.counts(call):
            self._count(call, target, args[0])
            return False
        else:
            self._lines.add(f"{target} = {self._values.called(call, args)}")
            self._strict(call, target)
        return not self._values.certain(call)

    def _count(self, call: Call, target: str, name: str) -> None:
        """The number of elements, which of an array needs no call."""
        self._lines.add(f"if type({name}) is list:")
        with self._lines.deeper():
            self._lines.add(f"{target} = len({name})")
        self._lines.add("else:")
        with self._lines.deeper():
            self._lines.add(f"{target} = {self._values.called(call, [name])}")
            self._strict(call, target)
            self._leave_if(f"{target} is U")

    def _kept(self, func: str, target: str, args: list[str]) -> None:
        name, slot = self._source.names[func], self._source.slots[func]
        made = f"{name}({', '.join(args)}, m)"
        if func in self._source.cached:
            made = f"cached({self._source.cached[func]}, {name}, {', '.join(args)}, m)"
        self._lines.add(f"{target} = m[{slot}]", f"if {target} is W:")
        with self._lines.deeper():
            self._lines.add(f"{target} = m[{slot}] = {made}")

    def _strict(self, call: Call, target: str) -> None:
        if self._source.strict and call.func not in (*self._source.names, *VALUELESS):
            at = ":".join(map(str, place(self._plan, self._function, call)))
            self._lines.add(f"if {target} is U: failed({call.func!r}, {at!r})")


def _not_false(statement: Statement | None, number: int) -> bool:
    """Whether a statement asks no more of a local than that it is not false."""
    return isinstance(statement, NotEqual) and statement.a == Local(number) and statement.b == Constant(False)


def _compared(dot: Dot, following: Statement | None) -> Operand | None:
    """The text, boolean or null that a look-up's result is compared with by the next statement."""
    if not isinstance(following, Equal):
        return None
    sides = (following.a, following.b)
    if Local(dot.target) not in sides:
        return None
    other = sides[0] if sides[1] == Local(dot.target) else sides[1]
    return other if isinstance(other, Constant) and shape(other) in ("text", "singleton") else None


def _number(operand: Operand) -> int:
    return operand.number if isinstance(operand, Local) else -1


def _breaks(block: Block) -> bool:
    return any(isinstance(one, Break) for one in statements((block,)))


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
