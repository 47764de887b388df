"""The compiler writes Python source from a plan: one function a rule, readable, with the place of each rule beside it.

A block is a `while True:` that runs once; `break` leaves it where something is undefined. The body of a scan is a
`for` loop, and `continue` goes on to the next element. Locals keep the plan's numbers. `U` is undefined; `m` holds
what is computed once in an evaluation: the time in `m[0]`, then the values of rules that are asked for repeatedly,
`W` while they wait.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from policy.rego.analysis import boolean, fixed_rules, repeated
from policy.rego.builtins import CLOCKED
from policy.rego.plan import (
    DATA,
    INPUT,
    ArrayAppend,
    AssignVar,
    AssignVarOnce,
    Block,
    Blocks,
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
    MakeArray,
    MakeNull,
    MakeNumber,
    MakeObject,
    MakeSet,
    Not,
    NotEqual,
    ObjectInsert,
    ObjectInsertOnce,
    ObjectMerge,
    Operand,
    Plan,
    ResetLocal,
    ResultSetAdd,
    ReturnLocal,
    Scan,
    SetAdd,
    Statement,
    With,
    may_fail,
    statements,
)
from policy.rego.verify import DOCUMENT_ARGUMENTS, place

_PYTHON_TYPES = {"array": "(list,)", "object": "(dict,)", "set": "(RegoSet,)", "collection": "(list, dict, RegoSet)"}


@dataclass(slots=True)
class Source:
    """Generated Python: the text, and what it refers to by name."""

    text: str = ""
    constants: dict[str, Any] = field(default_factory=dict)  # composite literals by name
    builtins: dict[str, str] = field(default_factory=dict)  # Rego's name by Python's
    names: dict[str, str] = field(default_factory=dict)  # Python's name of each function of the plan
    paths: dict[tuple[str, ...], str] = field(default_factory=dict)  # rules' by path below data, for dynamic calls
    slots: dict[str, int] = field(default_factory=dict)  # place in `m` of rules that are kept
    fixed: tuple[str, ...] = ()  # functions that read no document, callees first
    booleans: frozenset[str] = frozenset()  # functions whose value is true or false, if any


def write_source(plan: Plan) -> Source:
    """Write the functions of a simplified plan, and its queries."""
    source = Source()
    everything = (*plan.functions.values(), *plan.queries.values())
    for function in everything:
        source.names[function.name] = _fresh(function.name, source.names.values())
        if function.path[:1] == ("g0",) and len(function.params) == DOCUMENT_ARGUMENTS:
            source.paths[function.path[1:]] = source.names[function.name]
    source.fixed = tuple(fixed_rules(plan))
    source.booleans = frozenset(name for name, function in plan.functions.items() if boolean(function))
    source.slots = {name: slot for slot, name in enumerate(repeated(plan, source.fixed), 1)}
    source.text = "\n\n".join(_Writer(plan, function, source).written() for function in everything)
    return source


def _fresh(name: str, taken: Any) -> str:
    python = re.sub(r"\W", "_", name.removeprefix("g0.data."), flags=re.ASCII)
    python = f"rule_{python}"
    while python in taken:
        python += "_"
    return python


def _whole(operand: Operand) -> bool:
    return isinstance(operand, Constant) and type(operand.value) is int


def _scalar(operand: Operand) -> bool:
    return isinstance(operand, Constant) and (operand.value is None or type(operand.value) in (bool, int, float, str))


class _Writer:
    """Writes one function."""

    def __init__(self, plan: Plan, function: Function, source: Source):
        self._plan = plan
        self._function = function
        self._source = source
        self._lines: list[str] = []
        self._depth = 0
        self._flags = 0
        self._orders: Counter[int] = Counter()  # how often each local may be given a value that must be the only one
        self._checked: set[int] = set()
        self._reads = Counter(
            one.number for held in statements(function.blocks) for one in held.reads() if isinstance(one, Local)
        )
        for statement in statements(function.blocks):
            self._note(statement)

    def _note(self, statement: Statement) -> None:
        match statement:
            case AssignVarOnce(target=target):
                self._orders[target] += 1
                self._checked.add(target)
            case AssignVar(target=target):
                self._orders[target] += 1
            case IsDefined(source=source) | IsUndefined(source=source):
                self._checked.add(source.number)
            case With(local=local):
                self._checked.add(local)  # a value that stands in for a builtin has no value before
            case Scan(block=block):
                self._orders.update(one.target for one in statements((block,)) if isinstance(one, AssignVarOnce))

    def written(self) -> str:
        params = [_local(number) for number in self._function.params]
        self._line(f"def {self._source.names[self._function.name]}({', '.join((*params, 'm'))}):  # {self._place()}")
        with self._deeper():
            if any(isinstance(one, ResultSetAdd) for one in statements(self._function.blocks)):
                self._line("results = []")
            for number in sorted(self._checked - set(self._function.params) - self._reset_first()):
                self._line(f"{_local(number)} = U")
            self._blocks(self._function.blocks)
            if not self._function.path:
                self._line("return results")
            elif not self._ends():
                self._line("return U")
        return "\n".join(self._lines)

    def _reset_first(self) -> set[int]:
        """Locals that the first block resets before anything else."""
        first = self._function.blocks[0].statements if self._function.blocks else ()
        return {one.target for one in takewhile(lambda one: isinstance(one, ResetLocal), first)}  # type: ignore[attr-defined]

    def _place(self) -> str:
        for statement in statements(self._function.blocks):
            if statement.at.line:
                file, line, _ = place(self._plan, self._function, statement)
                return f"{self._function.title} at {file}:{line}".replace("\n", " ").replace("\r", " ")
        return self._function.title.replace("\n", " ").replace("\r", " ")

    def _ends(self) -> bool:
        """Whether the last line returns in any case."""
        return self._lines[-1].startswith("    return ")

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        before = len(self._lines)
        yield
        if len(self._lines) == before:
            self._line("pass")
        self._depth -= 1

    def _blocks(self, blocks: tuple[Block, ...]) -> None:
        for block in blocks:
            self._block(block)

    def _block(self, block: Block) -> None:
        """A block whose end matters to nobody."""
        if not any(map(may_fail, block.statements)):
            self._statements(block, "")
            return
        first, *rest = block.statements
        if isinstance(first, IsDefined) and len(rest) == 1 and isinstance(rest[0], ReturnLocal):
            self._line(f"return {self._operand(rest[0].source)}")  # undefined is what the caller gets either way
            return
        self._line("while True:")
        with self._deeper():
            self._statements(block, "break")
            if not self._lines[-1].lstrip().startswith("return "):
                self._line("break")

    def _statements(self, block: Block, leave: str) -> None:
        rest = list(block.statements)
        while rest:
            statement = rest.pop(0)
            if rest and isinstance(statement, Call) and self._only_tested(statement, rest[0]):
                rest.pop(0)
                self._test(statement, leave)
            else:
                self._statement(statement, leave)

    def _only_tested(self, call: Call, following: Statement) -> bool:
        """Whether all that matters of a call is that its result, a boolean or nothing, is not false."""
        return (
            isinstance(following, NotEqual)
            and following.a == Local(call.result)
            and following.b == Constant(False)
            and (call.func in _TESTS or call.func in self._source.booleans)
        )

    def _test(self, call: Call, leave: str) -> None:
        if call.func in _TESTS and self._reads[call.result] == 1:
            self._fail(f"not {self._condition(call)}", leave)
            return
        self._result(call)
        self._fail(f"{_local(call.result)} is not True", leave)

    def _condition(self, call: Call) -> str:
        """A comparison or another test as a Python condition; with a whole number at hand, by Python's operator."""
        left, right = call.args[0], call.args[-1]
        plain = f"{self._called(call.func, [self._operand(one) for one in call.args])}"
        if call.func == "internal.member_2" and isinstance(left, Local) and not _scalar(right):
            return self._member(self._operand(left), self._operand(right), plain)
        if call.func not in _OPERATORS or not isinstance(left, Local) or not _whole(right):
            return plain
        name = self._operand(left)
        return f"({name} {_OPERATORS[call.func]} {self._operand(right)} if type({name}) is int else {plain})"

    @staticmethod
    def _member(value: str, among: str, plain: str) -> str:
        """Membership of a text in a set or an array, which is what policies ask for, by Python's operator."""
        inside = f"{value} in {among}.keys if type({among}) is RegoSet else {value} in {among}"
        return f"(({inside}) if type({value}) is str and type({among}) in (RegoSet, list) else {plain})"

    def _completes(self, block: Block) -> str:
        """Run a block; the name of the flag that says whether it came to its end."""
        self._flags += 1
        flag = f"done{self._flags}"
        self._line(f"{flag} = False")
        self._line("while True:")
        with self._deeper():
            self._statements(block, "break")
            self._line(f"{flag} = True")
            self._line("break")
        return flag

    def _fail(self, condition: str, leave: str) -> None:
        self._line(f"if {condition}:")
        with self._deeper():
            self._line(leave)

    def _operand(self, operand: Operand) -> str:
        return _local(operand.number) if isinstance(operand, Local) else self._constant(operand.value)

    def _constant(self, value: Any) -> str:
        if _scalar(Constant(value)):
            return repr(value)
        for name, held in self._source.constants.items():
            if held is value:
                return name
        name = f"K{len(self._source.constants)}"
        self._source.constants[name] = value
        return name

    def _statement(self, statement: Statement, leave: str) -> None:
        match statement:
            case Call() | CallDynamic():
                self._call(statement, leave)
            case Dot(source=source, key=key, target=target):
                self._line(f"{_local(target)} = {self._looked_up(source, key)}")
                self._fail(f"{_local(target)} is U", leave)
            case Equal(a=a, b=b):
                self._fail(self._differ(a, b), leave)
            case NotEqual(a=a, b=b):
                self._fail(self._same(a, b), leave)
            case Scan() | Not() | With() | Blocks():
                self._nested(statement, leave)
            case IsDefined(source=source):
                self._fail(f"{self._operand(source)} is U", leave)
            case IsUndefined(source=source):
                self._fail(f"{self._operand(source)} is not U", leave)
            case IsType(source=source, kind=kind):
                self._fail(f"type({self._operand(source)}) not in {_PYTHON_TYPES[kind]}", leave)
            case Len(source=source, target=target):
                self._line(f"{_local(target)} = length({self._operand(source)})")
                self._fail(f"{_local(target)} is U", leave)
            case _:
                self._line(self._simple(statement))

    def _simple(self, statement: Statement) -> str:
        """A statement that is never undefined."""
        o = self._operand
        match statement:
            case ReturnLocal(source=source):
                return f"return {o(source)}"
            case ResultSetAdd(value=value):
                return f"results.append({o(value)})"
            case ArrayAppend(array=array, value=value):
                return f"{o(array)}.append({o(value)})"
            case SetAdd(set=target, value=value):
                return f"{o(target)}.keys.add({self._item(value)})"
            case ObjectInsert(object=target, key=at, value=value):
                return f"{o(target)}[{self._item(at)}] = {o(value)}"
            case ObjectInsertOnce(object=target, key=at, value=value):
                return f"inserted_once({o(target)}, {o(at)}, {o(value)})"
        return f"{_local(statement.target)} = {self._made(statement)}"  # type: ignore[attr-defined]

    def _item(self, operand: Operand) -> str:
        """A value as an object's key or a set's element."""
        plain = isinstance(operand, Constant) and type(operand.value) in (str, int)
        return self._operand(operand) if plain else f"key({self._operand(operand)})"

    def _made(self, statement: Statement) -> str:
        """What is assigned to a statement's target."""
        o = self._operand
        match statement:
            case AssignVarOnce(source=source, target=target) if self._orders[target] > 1:
                return f"{o(source)} if {_local(target)} is U else once({_local(target)}, {o(source)})"
            case AssignVar(source=source) | AssignVarOnce(source=source):
                return o(source)
            case MakeNumber(value=value):
                return repr(value)
            case ObjectMerge(a=a, b=b):
                return f"merged({o(b)}, {o(a)})"
        return _EMPTY[type(statement)]

    def _nested(self, statement: Statement, leave: str) -> None:
        match statement:
            case Scan(source=source, key=key, value=value, block=block):
                self._line(f"for {_local(key)}, {_local(value)} in scan({self._operand(source)}):")
                with self._deeper():
                    self._statements(block, "continue")
            case Not(block=block):
                self._fail(self._completes(block), leave)
            case Blocks(inner=inner):
                self._blocks(inner)
            case With(local=local, path=path, value=value, block=block):
                self._with(_local(local), path, value, block, leave)

    def _with(self, document: str, path: tuple[str, ...], value: Operand, block: Block, leave: str) -> None:
        self._flags += 1
        saved = f"saved{self._flags}"
        self._line(f"{saved} = {document}, m")
        self._line(
            f"{document}, m = upserted({document}, {path!r}, {self._operand(value)}), [m[0], *(W for _ in m[1:])]"
        )
        flag = self._completes(block)
        self._line(f"{document}, m = {saved}")
        self._fail(f"not {flag}", leave)

    def _call(self, call: Call | CallDynamic, leave: str) -> None:
        self._result(call)
        self._fail(f"{_local(call.result)} is U", leave)

    def _result(self, call: Call | CallDynamic) -> None:
        """Put a call's result, which may be undefined, into its local."""
        args = [self._operand(one) for one in call.args]
        target = _local(call.result)
        if isinstance(call, CallDynamic):
            steps = "".join(f"{self._operand(one)}, " for one in call.path)
            self._line(f"{target} = dynamic(({steps}), {', '.join(args[:DOCUMENT_ARGUMENTS])}, m)")
        elif call.func in self._source.fixed:
            self._line(f"{target} = fixed_{self._source.names[call.func]}")
        elif call.func in self._source.slots:
            name, slot = self._source.names[call.func], self._source.slots[call.func]
            self._line(f"{target} = m[{slot}]")
            self._fail(f"{target} is W", f"{target} = m[{slot}] = {name}({', '.join(args)}, m)")
        elif call.func == "count" and not _scalar(call.args[0]):
            self._line(f"{target} = {self._counted(args[0])}")
        else:
            self._line(f"{target} = {self._called(call.func, args)}")

    def _counted(self, name: str) -> str:
        rest = f"len({name}) if type({name}) is list else {self._called('count', [name])}"
        return f"len({name}.keys) if type({name}) is RegoSet else {rest}"

    def _called(self, func: str, args: list[str]) -> str:
        if func in self._source.names:
            return f"{self._source.names[func]}({', '.join((*args, 'm'))})"
        python = "rego_" + re.sub(r"\W", "_", func)
        self._source.builtins[python] = func
        return f"{python}({', '.join(('m[0]', *args) if func in CLOCKED else args)})"

    def _looked_up(self, source: Operand, key: Operand) -> str:
        """`source[key]`, by Python's own operations where source and key are of the common kinds."""
        name, at = self._operand(source), self._operand(key)
        rest = f"dot({name}, {at})"
        if _scalar(source):
            return rest
        if isinstance(key, Local):
            return f"{name}.get({at}, U) if type({name}) is dict and type({at}) is str else {rest}"
        if type(key.value) is str:
            return f"{name}.get({at}, U) if type({name}) is dict else {rest}"
        if type(key.value) is int and key.value >= 0:
            return f"{name}[{at}] if type({name}) is list and len({name}) > {at} else {rest}"
        return rest

    def _differ(self, a: Operand, b: Operand) -> str:
        """Condition that two values differ."""
        left, right, shape = self._pair(a, b)
        if shape == "value" and right.isdecimal():
            return f"{left} != {right} if type({left}) is int else not equal({left}, {right})"
        if shape == "local":
            return f"{left} != {right} if type({left}) is str else not equal({left}, {right})"
        return {"singleton": f"{left} is not {right}", "text": f"{left} != {right}"}.get(
            shape, f"not equal({left}, {right})"
        )

    def _same(self, a: Operand, b: Operand) -> str:
        """Condition that two values are equal."""
        left, right, shape = self._pair(a, b)
        return {"singleton": f"{left} is {right}", "text": f"{left} == {right}"}.get(shape, f"equal({left}, {right})")

    def _pair(self, a: Operand, b: Operand) -> tuple[str, str, str]:
        """Two operands, a constant last, and the shape of the comparison that fits them."""
        if isinstance(a, Constant):
            a, b = b, a
        left, right = self._operand(a), self._operand(b)
        if isinstance(a, Constant):
            return left, right, "constants"
        if isinstance(b, Local):
            return left, right, "local"
        if b.value is None or type(b.value) is bool:
            return left, right, "singleton"
        return left, right, "text" if type(b.value) is str else "value"


_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "equal": "==", "neq": "!="}
_TESTS = frozenset(  # builtins that answer with a boolean, or nothing
    {*_OPERATORS, "internal.member_2", "internal.member_3", "startswith", "endswith", "contains", "net.cidr_contains"}
    | {
        "glob.match",
        "regex.match",
        "is_number",
        "is_string",
        "is_boolean",
        "is_array",
        "is_object",
        "is_set",
        "is_null",
    }
)
_EMPTY: Mapping[type[Statement], str] = {
    ResetLocal: "U",
    MakeNull: "None",
    MakeArray: "[]",
    MakeObject: "{}",
    MakeSet: "RegoSet()",
}


def _local(number: int) -> str:
    return {INPUT: "input", DATA: "data"}.get(number, f"v{number}")
