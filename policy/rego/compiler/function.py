"""Writes one function of a plan: its blocks, the ways out of them, and the report of what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from policy.rego.compiler.body import not_false
from policy.rego.compiler.calls import Calls
from policy.rego.compiler.expressions import PYTHON_TYPES, local
from policy.rego.compiler.flow import NONLOCAL, shared
from policy.rego.compiler.lookups import Lookups
from policy.rego.compiler.loops import Loops
from policy.rego.compiler.origins import continues, static_reads
from policy.rego.compiler.prelude import Entry
from policy.rego.plan import (
    ArrayAppend,
    Ask,
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
    Keep,
    Leave,
    Len,
    Local,
    MakeArray,
    MakeObject,
    Not,
    NotEqual,
    ObjectInsert,
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
from policy.rego.verify import place

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source


def written(plan: Plan, function: Function, source: Source, sources: Mapping[str, str]) -> str:
    """Python of one function."""
    name, params = source.names[function.name], [local(number) for number in function.params]
    return _Writer(plan, function, source, sources).written(name, [*params, "m"])


def written_entry(
    plan: Plan, function: Function, source: Source, sources: Mapping[str, str], entry: Entry, name: str
) -> str:
    """Python of the function behind an entry point, which is a rule: its value, and the trace of what was read."""
    return _Writer(plan, function, source, sources, entry).written(name, ["input", "data", "now", "cache"])


class _Writer(Lookups, Calls, Loops):
    def written(self, name: str, params: Sequence[str]) -> str:
        self._lines.add(f"def {name}({', '.join(params)}):  # {self._title()}")
        self._lines.add(*(self._entry.lines if self._entry else ()))
        with self._lines.deeper():
            if any(isinstance(one, ResultSetAdd) for one in statements(self._function.blocks)):
                self._lines.add("results = []")
            self._lines.add(*(f"{local(number)} = U" for number in self._locals.unset))
            ended = False
            for block in self._function.blocks:
                ended = self._block(block)
            if not ended:
                self._return("U" if self._function.path else "results")
            if not self._entry and any("t.append(" in line for line in self._lines.text):
                self._lines.insert(1, "t = m[1]")
            self._share(params)
        return "\n".join(self._lines.text)

    def _share(self, params: Sequence[str]) -> None:
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

    def _block(self, block: Block) -> bool:
        """A block whose end matters to nobody; whether that is never reached."""
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
        """Statements in order; whether their end is never reached."""
        held, at = block.statements, 0
        while at < len(held):
            before = len(self._lines.text)
            self._documents(held[at])
            taken = self._several(held, at) or self._one(held[at])
            self._note_line(held[at].at, before)
            if isinstance(held[at], (Break, Leave, ReturnLocal)) or self._locals.answers(held[at]):
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

    def _several(self, block: Sequence[Statement], at: int) -> int:
        """Statements that are written together with the next one; how many are."""
        statement = block[at]
        following = block[at + 1] if at + 1 < len(block) else None
        match statement:
            case Dot():
                return self._dot(statement, following, continues(block, at))
            case Call() if following is not None and self._only_tested(statement, following):
                self._test(statement)
                return 2
            case Call(func="count") if following is not None:
                return self._empty(statement, following, block[at + 2 :])
            case NotEqual(a=Local(number), b=Constant(False)) if self._values.never_false(number):
                return 1
            case MakeArray() | MakeObject():
                return self._literal(statement, block[at + 1 :])
        return 0

    def _empty(self, count: Call, test: Statement, after: Sequence[Statement]) -> int:
        """A test whether a set is empty; how many statements that is. Where it is a call, the next one asks for its
        result.
        """
        condition = self._values.emptiness(count, test)
        asked = isinstance(test, Call)
        if condition is None or (isinstance(test, Call) and not (after and self._only_tested(test, after[0]))):
            return 0
        self._leave_if(condition)
        return 2 + asked

    def _literal(self, make: MakeArray | MakeObject, after: Sequence[Statement]) -> int:
        """An array or object with what is put into it at once; how many statements that is."""
        parts = list(takewhile(lambda one: _put_into(one, make.target), after))
        for part in parts:
            self._documents(part)
        self._lines.add(f"{local(make.target)} = {self._values.literal(make, parts)}")
        return 1 + len(parts)

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
            case Keep(func=func, source=source):
                if func in self._source.asked and func in self._source.slots:
                    self._lines.add(f"m[{self._source.slots[func]}] = {self._values.operand(source)}")
            case Leave(loops=loops):
                self._lines.add(*self._reads.leaving(self._flow.inside(loops) + 1))
                self._flow.end_loops(loops)
            case ReturnLocal(source=source):
                self._return(self._values.operand(source))
            case Scan() | Not() | With() | Blocks() | Ask():
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
            case Ask(func=func, result=result):
                self._ask(statement, f"m[{self._source.slots[func]}]", local(result))

    def _ask(self, ask: Ask, kept: str, result: str) -> None:
        self._lines.add(f"{result} = {kept}", f"if {result} is W:")
        with self._lines.deeper(), self._reads.block(certain=False):
            for block in ask.inner:
                self._block(block)
            self._lines.add(*self._reads.leaving(1), f"{kept} = {result}")

    def _scan(self, scan: Scan) -> None:
        for path in sorted(static_reads(scan.block, self._origins), key=len):
            self._reads.note(path)
        self._loops += 1
        with self._flow.loop(self._head(scan), "continue"), self._reads.block(certain=False):
            if not self._statements(scan.block):
                self._lines.add(*self._reads.leaving(1))
        self._loops -= 1

    def _not(self, block: Block) -> None:
        call, following = block.statements if len(block.statements) == 2 else (None, None)
        if isinstance(call, Call) and following is not None and self._only_tested(call, following):
            self._documents(call)
            self._not_tested(call)
        elif isinstance(call, IsDefined) and not_false(following, call.source.number):
            self._leave_if(f"{local(call.source.number)} is not U and {local(call.source.number)} is not False")
        else:
            self._leave_if(self._completes(block))

    def _with(self, statement: With) -> None:
        document, saved = local(statement.local), self._flow.flag("saved")
        value = self._values.operand(statement.value)
        self._lines.add(
            f"{saved} = {document}, m",
            f"{document} = upserted({document}, {statement.path!r}, {value})",
            "m = memory(input, data, *inner(m))",
        )
        with self._values.other_documents():
            flag = self._completes(statement.block)
        self._lines.add(f"{document}, m = outer({saved}, m)")
        self._leave_if(f"not {flag}")


def _breaks(block: Block) -> bool:
    return any(isinstance(one, Break) for one in statements((block,)))


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _put_into(statement: Statement, number: int) -> bool:
    """Whether a statement puts something else into an array, or under a plain key into an object."""
    match statement:
        case ArrayAppend(array=Local(held), value=value):
            return held == number and value != Local(number)
        case ObjectInsert(object=Local(held), key=Constant(str()), value=value):
            return held == number and value != Local(number)
    return False
