"""Python for operands, comparisons, calls and what statements make, with what is known of the kinds of values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from policy.rego.builtins import IMPURE
from policy.rego.compiler.expressions import (
    OPERATORS,
    SUMS,
    differ,
    local,
    looked_up,
    looked_up_by,
    same,
    scalar,
    shape,
    summed,
    tested,
)
from policy.rego.compiler.locals import Locals
from policy.rego.compiler.origins import Path
from policy.rego.plan import (
    ArrayAppend,
    AssignVar,
    AssignVarOnce,
    Call,
    Constant,
    Dot,
    Equal,
    Function,
    Local,
    MakeArray,
    MakeNull,
    MakeNumber,
    MakeObject,
    MakeSet,
    NotEqual,
    ObjectInsert,
    ObjectInsertOnce,
    ObjectMerge,
    Operand,
    Plan,
    ResetLocal,
    ResultSetAdd,
    SetAdd,
    Statement,
    statements,
)

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source

_EMPTY: Mapping[type[Statement], str] = {
    ResetLocal: "U",
    MakeNull: "None",
    MakeArray: "[]",
    MakeObject: "{}",
    MakeSet: "RegoSet()",
}


class Values:
    """Writes the expressions of one function."""

    def __init__(
        self, plan: Plan, function: Function, source: Source, known: Locals, own: Mapping[tuple[str, Path], str]
    ):
        """`own`: names of what the function itself has looked up at the start, where others find it in the memory."""
        self._source = source
        self._own = own
        self._locals = known
        self._given: set[int] = set()  # locals that some line above gives a value
        calls = [one for one in statements(function.blocks) if isinstance(one, Call)]
        written = [number for one in statements(function.blocks) for number in one.writes()]
        self._sets = {one.result for one in calls if one.func in source.sets and written.count(one.result) == 1}
        self._sets |= known.sets
        self._true = {one.result for one in calls if one.func in source.true and written.count(one.result) == 1}
        self._whole = {  # locals that hold an integer
            one.result for one in calls if one.func == "count" and written.count(one.result) == 1
        }

    def counts(self, call: Call) -> bool:
        """Whether a call counts the elements of what may be an array."""
        return call.func == "count" and isinstance(call.args[0], Local) and not self._counts_set(call)

    def _counts_set(self, call: Call) -> bool:
        return call.func == "count" and isinstance(call.args[0], Local) and call.args[0].number in self._sets

    def certain(self, call: Call) -> bool:
        """Whether a call's result is never undefined."""
        return self._counts_set(call) or call.func in self._source.sets

    def never_false(self, number: int) -> bool:
        """Whether a local, where it has a value, is something else than false."""
        return number in self._locals.composite or number in self._true

    def emptiness(self, call: Call, following: Statement) -> str | None:
        """Condition on which a test of how many elements a set has, against 0, fails: the next statement is that test,
        and all that wants the number.
        """
        if not self._counts_set(call) or self._locals.read(call.result) != 1:
            return None
        keys, number = f"{self.operand(call.args[0])}.keys", Local(call.result)
        match following:
            case Equal(a=a, b=b) if {a, b} == {number, Constant(0)}:
                return keys
            case NotEqual(a=a, b=b) if {a, b} == {number, Constant(0)}:
                return f"not {keys}"
            case Call(func="gt" | "neq", args=args) if args == (number, Constant(0)):
                return f"not {keys}"
        return None

    def literal(self, make: MakeArray | MakeObject, parts: Sequence[Statement]) -> str:
        """An array or object with its first parts, as far as they are given at once."""
        o = self.operand
        if isinstance(make, MakeArray):
            return f"[{', '.join(o(one.value) for one in parts if isinstance(one, ArrayAppend))}]"
        pairs = (one for one in parts if isinstance(one, ObjectInsert))
        return f"{{{', '.join(f'{self._item(one.key)}: {o(one.value)}' for one in pairs)}}}"

    def operand(self, operand: Operand) -> str:
        """A local's name, or a literal."""
        return local(operand.number) if isinstance(operand, Local) else self._constant(operand.value)

    def _constant(self, value: Any) -> str:
        if scalar(value):
            return repr(value)
        for name, held in self._source.constants.items():
            if held is value:
                return name
        name = f"K{len(self._source.constants)}"
        self._source.constants[name] = value
        return name

    def looked_up(self, dot: Dot, path: Path | None, source: Path | None) -> str:
        """`source[key]`; by a slot of the memory where the path was read, or what it begins with, at the start."""
        if path is not None and path in self._source.hoisted:
            return self._place("value", path, self._source.hoisted[path])
        if source is not None and source in self._source.getters:
            return self._got(self._place("getter", source, self._source.getters[source]), dot.key)
        name, at = self.operand(dot.source), self.operand(dot.key)
        if isinstance(dot.source, Constant):
            return f"dot({name}, {at})"
        if isinstance(dot.key, Local):
            return looked_up_by(name, at)
        plain = type(dot.key.value) is str or (type(dot.key.value) is int and dot.key.value >= 0)
        return looked_up(name, dot.key.value) if plain else f"dot({name}, {at})"

    def _place(self, kind: str, path: Path, slot: int) -> str:
        return self._own.get((kind, path), f"m[{slot}]")

    @contextmanager
    def other_documents(self) -> Iterator[None]:
        """What was looked up at the start is not what lies there now."""
        own, self._own = self._own, {}
        yield
        self._own = own

    def _got(self, getter: str, key: Operand) -> str:
        at = self.operand(key)
        if isinstance(key, Constant):
            return f"{getter}({at}, U)" if type(key.value) is str else f"got({getter}, {at})"
        return f"{getter}({at}, U) if type({at}) is str else got({getter}, {at})"

    def condition(self, call: Call) -> str:
        """A comparison or another test as a Python condition."""
        left, right = call.args[0], call.args[-1]
        args = [self.operand(one) for one in call.args]
        plain = self.called(call, args)
        if not isinstance(left, Local):
            return plain
        if left.number in self._whole and call.func in OPERATORS and self._is_whole(right):
            return f"{args[0]} {OPERATORS[call.func]} {args[1]}"
        return tested(call.func, args[0], right, args[-1], plain)

    def _is_whole(self, operand: Operand) -> bool:
        return operand.number in self._whole if isinstance(operand, Local) else type(operand.value) is int

    def differ(self, a: Operand, b: Operand) -> str:
        """Condition that two values differ."""
        left, right, form = self._pair(a, b)
        return f"{left} != {right}" if form == "ints" else differ(left, right, form)

    def same(self, a: Operand, b: Operand) -> str:
        """Condition that two values are equal."""
        left, right, form = self._pair(a, b)
        return f"{left} == {right}" if form == "ints" else same(left, right, form)

    def _pair(self, a: Operand, b: Operand) -> tuple[str, str, str]:
        """Two operands, a constant last, and the shape of the comparison that fits them."""
        if isinstance(a, Constant):
            a, b = b, a
        left, right = self.operand(a), self.operand(b)
        if isinstance(a, Constant):
            return left, right, "value"
        return left, right, "ints" if self._is_whole(a) and self._is_whole(b) else shape(b)

    def called(self, call: Call, args: list[str]) -> str:
        """The call of a rule or builtin."""
        if call.func in self._source.fixed:
            return f"fixed_{self._source.names[call.func]}"
        if call.func in self._source.names:
            return f"{self._source.names[call.func]}({', '.join((*args, 'm'))})"
        if self._counts_set(call):
            return f"len({args[0]}.keys)"
        plain = self._builtin(call.func, args)
        return summed(call.func, args[0], args[1], plain) if call.func in SUMS and not self._source.strict else plain

    def _builtin(self, func: str, args: list[str]) -> str:
        python = "rego_" + re.sub(r"\W", "_", func)
        self._source.builtins[python] = func
        return f"{python}({', '.join(('m', *args) if func in IMPURE else args)})"

    def made(self, statement: Statement, *, in_loop: bool) -> list[str]:
        """A statement that is never undefined, as lines."""
        o = self.operand
        match statement:
            case ResultSetAdd(value=value):
                return [f"results.append({o(value)})"]
            case ArrayAppend(array=array, value=value):
                return [f"{o(array)}.append({o(value)})"]
            case SetAdd(set=target, value=value):
                name, item = o(target), self._item(value)
                if target.number not in self._locals.lazy_sets:
                    return [f"{name}.keys.add({item})"]
                made = f"    {name} = new(RegoSet); {name}.keys = {{{item}}}"
                return [f"if {name} is E:", made, "else:", f"    {name}.keys.add({item})"]
            case ObjectInsert(object=target, key=at, value=value):
                return [f"{o(target)}[{self._item(at)}] = {o(value)}"]
            case ObjectInsertOnce(object=target, key=at, value=value):
                return [f"inserted_once({o(target)}, {o(at)}, {o(value)})"]
        return [f"{local(statement.target)} = {self._assigned(statement, in_loop)}"]  # type: ignore[attr-defined]

    def _item(self, operand: Operand) -> str:
        """A value as an object's key or a set's element."""
        plain = isinstance(operand, Constant) and type(operand.value) in (str, int)
        return self.operand(operand) if plain else f"key({self.operand(operand)})"

    def _assigned(self, statement: Statement, in_loop: bool) -> str:
        o = self.operand
        match statement:
            case AssignVarOnce(source=source, target=target):
                first = target not in self._given and not in_loop
                self._given.add(target)
                name = local(target)
                plain = self._locals.orders[target] < 2 or first
                return o(source) if plain else f"{o(source)} if {name} is U else once({name}, {o(source)})"
            case AssignVar(source=source, target=target):
                self._given.add(target)
                return o(source)
            case MakeNumber(value=value):
                return o(Constant(value))
            case ObjectMerge(a=a, b=b):
                return f"merged({o(a)}, {o(b)})"
            case MakeSet(target=target) if target in self._locals.lazy_sets:
                return "E"
        return _EMPTY[type(statement)]
