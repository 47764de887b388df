"""What a module says, as a tree. Each node knows at which character of the module it starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

Constant = str | Decimal | bool | None


@dataclass(slots=True)
class Scalar:
    """A text, a number, a boolean or null. `text` is a number as it is written, or a name after a dot."""

    start: int
    value: Constant
    text: str = ""


@dataclass(slots=True)
class Var:
    """A name. Each `_` is a variable of its own, with a name that no author can write."""

    start: int
    name: str


@dataclass(slots=True)
class Builtin:
    """A builtin by its whole name. The parser makes a name or a reference of it; operators are builtins at once."""

    start: int
    name: str


@dataclass(slots=True)
class Ref:
    """`head[part]…`, or `head.part…`."""

    start: int
    head: Term
    parts: list[Term]


@dataclass(slots=True)
class Call:
    """A function and its arguments; operators are calls of the builtins behind them."""

    start: int
    function: Term
    arguments: list[Term]


@dataclass(slots=True)
class Array:
    """`[…]`."""

    start: int
    items: list[Term]


@dataclass(slots=True)
class Set:
    """`{…}`, or `set()`."""

    start: int
    items: list[Term]


@dataclass(slots=True)
class Object:
    """`{key: value, …}`."""

    start: int
    pairs: list[tuple[Term, Term]]


@dataclass(slots=True)
class Comprehension:
    """`[head | body]`, `{head | body}` or `{key: value | body}`; `kind` is "array", "set" or "object"."""

    start: int
    kind: str
    head: list[Term]
    body: list[Expr]


@dataclass(slots=True)
class Template:
    """A template text: its texts, of which the first and the last may be empty, and the expressions between them."""

    start: int
    texts: list[str]
    parts: list[Expr]


Term = Scalar | Var | Builtin | Ref | Call | Array | Set | Object | Comprehension | Template


@dataclass(slots=True)
class Assign:
    """`left := right`."""

    left: Term
    right: Term


@dataclass(slots=True)
class Unify:
    """`left = right`."""

    left: Term
    right: Term


@dataclass(slots=True)
class Some:
    """`some x, y`."""

    names: list[Var]


@dataclass(slots=True)
class SomeIn:
    """`some key, value in domain`."""

    key: Term | None
    value: Term
    domain: Term


@dataclass(slots=True)
class Every:
    """`every key, value in domain { body }`."""

    key: Var | None
    value: Var
    domain: Term
    body: list[Expr]


@dataclass(slots=True)
class Absent:
    """`not`, of more steps than one: none of the parser's, but what becomes of an expression when it becomes steps."""

    body: list[Expr]


@dataclass(slots=True)
class With:
    """`with target as value`."""

    start: int
    target: Term
    value: Term


Statement = Assign | Unify | Some | SomeIn | Every | Absent


@dataclass(slots=True, eq=False)
class Expr:
    """One expression of a body; each is only itself. With the imported keyword `not`, all of a negated one is below it;
    without, operands are evaluated before it.
    """

    start: int
    what: Term | Statement
    negated: bool = False
    withs: list[With] = field(default_factory=list)
    below: bool = False


@dataclass(slots=True)
class Head:
    """What a rule declares. A function has arguments, a partial set `contains`, any other rule a value."""

    start: int
    name: str
    parts: list[Term]
    arguments: list[Term] | None = None
    contains: Term | None = None
    value: Term | None = None

    def terms(self) -> Iterator[Term]:
        """What the body gives values to."""
        yield from self.parts
        yield from (one for one in (self.contains, self.value) if one)


@dataclass(slots=True)
class Rule:
    """A head, a body, and what holds where the body does not."""

    start: int
    head: Head
    body: list[Expr]
    default: bool = False
    otherwise: Rule | None = None

    def is_bare(self) -> bool:
        """Whether it is nothing but a name and arguments, which are true."""
        return not self.body and isinstance(self.head.value, Scalar) and self.head.value.start == self.start

    def branches(self) -> Iterator[Rule]:
        """It and every `else` after it."""
        rule: Rule | None = self
        while rule:
            yield rule
            rule = rule.otherwise


@dataclass(slots=True)
class Import:
    """`import path as name`."""

    start: int
    path: tuple[str, ...]
    name: str


@dataclass(slots=True)
class Module:
    """One file. `package` is its path below `data`; it starts where that word stands."""

    file: str
    text: str
    comments: list[tuple[int, str]]
    start: int = 0
    package: tuple[str, ...] = ()
    imports: list[Import] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    def place(self, start: int) -> tuple[str, int, int]:
        """File, line and column of a character; both count from 1."""
        return self.file, *place(self.text, start)


def place(text: str, start: int) -> tuple[int, int]:
    """Line and column of a character of a text; both count from 1."""
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
