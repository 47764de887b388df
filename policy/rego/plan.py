"""A plan is OPA's intermediate representation of a policy: functions of blocks of statements over numbered locals.

Statement names and meanings are those of OPA's `ir` package, less the suffix `Stmt`. A block runs until one of its
statements is undefined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

from policy.rego.numerals import Number
from policy.rego.values import equal

Dialect = Literal["opa", "regopy"]  # whose plan it is
INPUT, DATA = 0, 1  # the locals that hold the documents, in every function


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement came from: index of the file, line and column from 1. Line 0: not known."""

    file: int = 0
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Local:
    """The value of a numbered local."""

    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A value known now: a string or a boolean from the front end, any Rego value once simplified. Python's `1 == True`
    does not hold here.
    """

    value: Any

    def __eq__(self, other: object) -> bool:
        return type(other) is Constant and type(other.value) is type(self.value) and equal(other.value, self.value)

    def __hash__(self) -> int:
        return hash(type(self.value))


Operand = Local | Constant


@dataclass(frozen=True, slots=True)
class Block:
    """Statements in order."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One step. READS and WRITES name the fields that are read and the locals that are defined when it succeeds."""

    READS: ClassVar[tuple[str, ...]] = ()
    WRITES: ClassVar[tuple[str, ...]] = ()
    at: Place = Place()

    def reads(self) -> Iterator[Operand]:
        """Operands whose value is used."""
        for name in self.READS:
            held = getattr(self, name)
            yield from held if isinstance(held, tuple) else (held,)

    def writes(self) -> Iterator[int]:
        """Locals that are given a value."""
        return (getattr(self, name) for name in self.WRITES)

    def blocks(self) -> tuple[Block, ...]:
        """Blocks inside."""
        block = getattr(self, "block", None)
        return (block,) if block else getattr(self, "inner", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnLocal(Statement):
    """End the function with a value."""

    READS = ("source",)
    source: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Statement):
    """Call a function or a builtin; undefined if its result is."""

    READS = ("args",)
    WRITES = ("result",)
    func: str
    args: tuple[Operand, ...]
    result: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDynamic(Statement):
    """Call the function at a path that is known only now; undefined if there is none."""

    READS = ("args", "path")
    WRITES = ("result",)
    path: tuple[Operand, ...]
    args: tuple[Operand, ...]
    result: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks(Statement):
    """`BlockStmt`: each block in turn, whatever became of the one before."""

    inner: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep(Statement):
    """Keep what a local holds, a value or none, as what a rule has given. Not one of OPA's: it ends a rule that stands
    where it is first asked for.
    """

    func: str
    source: Local


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Statement):
    """Take what a rule has given, if that is kept; otherwise run the blocks, which give `result` its value or none, and
    keep that. Not one of OPA's: it is a call whose rule stands there.
    """

    func: str
    result: int
    inner: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Statement):
    """Leave so many of the loops around it. Not one of OPA's: it stands where a function returned."""

    loops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Break(Statement):
    """Leave this block, and `index` blocks around it."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot(Statement):
    """`source[key]`."""

    READS = ("source", "key")
    WRITES = ("target",)
    source: Operand
    key: Operand
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Len(Statement):
    """Number of elements."""

    READS = ("source",)
    WRITES = ("target",)
    source: Operand
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(Statement):
    """Run the block for each key and value; never undefined."""

    READS = ("source",)
    source: Operand
    key: int
    value: int
    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Statement):
    """Undefined if the block is defined."""

    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignVar(Statement):
    """Copy."""

    READS = ("source",)
    WRITES = ("target",)
    source: Operand
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignVarOnce(Statement):
    """A conflict if the target has another value already."""

    READS = ("source",)
    WRITES = ("target",)
    source: Operand
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetLocal(Statement):
    """Make a local undefined."""

    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeNull(Statement):
    """Null."""

    WRITES = ("target",)
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeNumber(Statement):
    """`MakeNumberIntStmt`, `MakeNumberRefStmt` and `AssignIntStmt`."""

    WRITES = ("target",)
    value: Number
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeArray(Statement):
    """An empty array."""

    WRITES = ("target",)
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeObject(Statement):
    """An empty object."""

    WRITES = ("target",)
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeSet(Statement):
    """An empty set."""

    WRITES = ("target",)
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Equal(Statement):
    """Undefined if the two differ."""

    READS = ("a", "b")
    a: Operand
    b: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEqual(Statement):
    """Undefined if the two are equal."""

    READS = ("a", "b")
    a: Operand
    b: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class IsType(Statement):
    """`IsArrayStmt`, `IsObjectStmt`, `IsSetStmt`: undefined if the value is of another type. A "collection" is any."""

    READS = ("source",)
    source: Operand
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IsDefined(Statement):
    """Undefined if the local is."""

    source: Local


@dataclass(frozen=True, slots=True, kw_only=True)
class IsUndefined(Statement):
    """Undefined if the local is not."""

    source: Local


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayAppend(Statement):
    """Add at the end."""

    READS = ("array", "value")
    array: Local
    value: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInsert(Statement):
    """Set a key."""

    READS = ("object", "key", "value")
    object: Local
    key: Operand
    value: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInsertOnce(Statement):
    """A conflict if the key has another value already."""

    READS = ("object", "key", "value")
    object: Local
    key: Operand
    value: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMerge(Statement):
    """Two objects as one, recursively; `b` wins."""

    READS = ("a", "b")
    WRITES = ("target",)
    a: Operand
    b: Operand
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAdd(Statement):
    """Add an element."""

    READS = ("set", "value")
    set: Local
    value: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class With(Statement):
    """Run the block with a document, or what is at `path` in it, replaced; undefined if the block is."""

    READS = ("value",)
    local: int
    path: tuple[str, ...]
    value: Operand
    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSetAdd(Statement):
    """One result of a query."""

    READS = ("value",)
    value: Operand


@dataclass(frozen=True, slots=True)
class Function:
    """A rule or function; the first two parameters are the documents. `path` starts with the front end's generation:
    `("g0", "portcullis", "access", "decision")`; a query's own plan has none.
    """

    name: str
    path: tuple[str, ...]
    params: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def title(self) -> str:
        """Name as its author knows it."""
        return ".".join(("data", *self.path[1:])) if self.path else self.name


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole policy."""

    functions: dict[str, Function]
    queries: dict[str, Function]  # by entry point, "portcullis/access/decision"
    builtins: frozenset[str]  # what the front end took for builtins
    files: tuple[str, ...]
    dialect: Dialect


def of_rule(func: str) -> bool:
    """Whether a call's name is that of a rule or function of the plan, `g0.data.…`, and not of a builtin."""
    return re.match(r"g\d+\.data\.", func) is not None


_CERTAIN: tuple[type[Statement], ...] = (
    *(Scan, Blocks, Ask, Keep, Leave, ReturnLocal, ResultSetAdd, AssignVar, AssignVarOnce, ResetLocal),
    *(MakeNumber, MakeNull, MakeArray, MakeObject, MakeSet),
    *(ArrayAppend, SetAdd, ObjectInsert, ObjectInsertOnce, ObjectMerge),
)


def may_fail(statement: Statement) -> bool:
    """Whether it can be undefined, which ends its block."""
    return not isinstance(statement, _CERTAIN)


def statements(blocks: tuple[Block, ...]) -> Iterator[Statement]:
    """Every statement in blocks, and in the blocks inside them, in order."""
    for block in blocks:
        for statement in block.statements:
            yield statement
            yield from statements(statement.blocks())


def with_blocks(statement: Statement, blocks: tuple[Block, ...]) -> Statement:
    """A statement with other blocks inside."""
    if isinstance(statement, (Blocks, Ask)):
        return replace(statement, inner=blocks)
    names = {field.name for field in fields(statement)}
    return replace(statement, block=blocks[0]) if "block" in names else statement  # type: ignore[call-arg]
