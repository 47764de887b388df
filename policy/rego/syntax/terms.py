"""Terms and bodies: everything that a rule may hold. One method for each form, the loosest operators first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import count

from policy.rego.syntax.tokens import END, KEYWORDS, Malformed, Token
from policy.rego.syntax.tree import (
    Array,
    Assign,
    Builtin,
    Call,
    Comprehension,
    Every,
    Expr,
    Object,
    Ref,
    Scalar,
    Set,
    Some,
    SomeIn,
    Template,
    Term,
    Unify,
    Var,
    With,
)

DEEPEST = 60  # terms inside one another
LONGEST = 200  # operators in a row
_OPERATORS = {  # the builtin behind each, and how tightly it binds
    "==": ("equal", 0),
    "!=": ("neq", 0),
    "<": ("lt", 0),
    ">": ("gt", 0),
    "<=": ("lte", 0),
    ">=": ("gte", 0),
    "|": ("or", 1),
    "&": ("and", 2),
    "+": ("plus", 3),
    "-": ("minus", 3),
    "*": ("mul", 4),
    "/": ("div", 4),
    "%": ("rem", 4),
}
_HINTS = {  # where a value should stand
    "&": "`&&` is no operator: write both conditions, on lines of their own",
    "|": "`|` joins sets, or stands behind what a comprehension collects; for `||` write a rule for each condition",
    "=": "two equals signs compare, one unifies, and `:=` assigns: there is a sign too many or a space in it",
    "not": "`not` stands before a whole expression of a body",
    "every": "`every` stands at the beginning of an expression of a body",
    "some": "`some` stands at the beginning of an expression of a body",
}
_PLAIN = ("number", "text", "template")  # kinds of token that are shown by that word
_CONSTANTS = {"null": None, "true": True, "false": False}


class Terms:
    """A reader of terms, at a place in a list of tokens."""

    def __init__(self, found: list[Token]):
        self._tokens = found
        self._at = 0
        self._depth = 0
        self._wildcards = count()
        self._read: dict[int, tuple[Term, int]] = {}  # terms already read, with the place after them
        self._failed: dict[int, Malformed] = {}  # what is wrong where none could be read
        self.future: frozenset[str] = frozenset()  # keywords that the module imported

    @property
    def token(self) -> Token:
        """The next token."""
        return self._tokens[self._at]

    @property
    def _after(self) -> Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        """The next token, which is then behind."""
        token = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def expect(self, kind: str, what: str) -> Token:
        """The next token, which must be of a kind. Raises Malformed."""
        if self.token.kind != kind:
            raise self.expected(what)
        return self.take()

    def expected(self, what: str) -> Malformed:
        """That the next token is not what is expected."""
        token = self.token
        if token.kind == END:
            return Malformed(token.start, f"the file ends too early: expected {what}; is a bracket still open?")
        found = token.value if token.kind == "name" else token.kind
        return Malformed(token.start, f"expected {what}, not {f'a {found}' if token.kind in _PLAIN else f'`{found}`'}")

    def wrong(self, message: str) -> Malformed:
        """What is wrong with the next token."""
        return Malformed(self.token.start, message)

    def keyword_as_name(self) -> None:
        """Let the next token be a name if it is a keyword that stands for one, as in `if.x` and `in["x"]`."""
        if self.token.kind in KEYWORDS and self._after.kind in (".", "[") and not self._after.spaced:
            self._tokens[self._at] = replace(self.token, kind="name")
            self._failed.pop(self._at, None)

    def attempt(self, read: Callable[[], Term | None]) -> Term | None:
        """What a method reads; None, and nothing is read, where it does not find that."""
        before = self._at
        try:
            found = read()
        except Malformed:
            found = None
        if found is None:
            self._at = before
        return found

    # --- Bodies ---------------------------------------------------------------------------------

    def body(self, end: str) -> list[Expr]:
        """Expressions up to a closing sign, which is read too."""
        opened = self.token
        if opened.kind == end:
            raise Malformed(opened.start, "there is nothing in this body: write `true` if it shall always hold")
        found = [self.expression()]
        while self.token.kind != end:
            if self.token.kind == ";":
                self.take()
            elif not self.token.fresh:
                raise self.expected(f"a new line, `;` or `{end}`")
            found.append(self.expression())
        self.take()
        return found

    def expression(self) -> Expr:
        """One expression of a body."""
        start = self.token.start
        self.keyword_as_name()
        match self.token.kind:
            case "not":
                return self._negated(start)
            case "some":
                return self._some(start)
            case "every":
                return self._every(start)
            case _:
                return self._plain(start, negated=False)

    def _negated(self, start: int) -> Expr:
        self.take()
        self.keyword_as_name()
        if self.token.kind in ("not", "some", "every"):
            raise self.wrong("`not` stands before one expression; move the rest into a rule of its own and negate that")
        if "not" in self.future and self.token.kind == "{":
            raise Unsupported(start, "`not { … }`")
        return self._plain(start, negated=True)

    def _plain(self, start: int, *, negated: bool) -> Expr:
        left = self.term()
        if self.token.kind not in (":=", "="):
            return self._finished(Expr(start, left, negated))
        sign = self.take().kind
        right = self.term()
        return self._finished(Expr(start, Assign(left, right) if sign == ":=" else Unify(left, right), negated))

    def _finished(self, found: Expr) -> Expr:
        while self.token.kind == "with":
            found.withs.append(self._with())
        found.below = found.negated and "not" in self.future
        return found

    def _with(self) -> With:
        start = self.take().start
        if self.token.kind != "name":
            raise self.expected("what is replaced: `input`, `data` or a function")
        target = self._operand()
        if not isinstance(target, (Ref, Var)):
            raise Malformed(start, "`with` replaces `input`, `data`, a path below them, or a function; nothing else")
        self.expect("as", "`as` and a value")
        return With(start, target, self.term())

    def _some(self, start: int) -> Expr:
        self.take()
        before = self._at
        found = self.attempt(self.term)
        if isinstance(found, Call):
            return self._finished(Expr(start, SomeIn(*self._membership("some", found))))
        self._at = before
        names = [self._declared()]
        while self.token.kind == ",":
            self.take()
            names.append(self._declared())
        return Expr(start, Some(names))

    def _declared(self) -> Var:
        if self.token.kind != "name":
            raise self.expected("names, or `x in xs`")
        return self._var()

    def _membership(self, keyword: str, found: Term) -> tuple[Term | None, Term, Term]:
        match found:
            case Call(function=Builtin(name="internal.member_2"), arguments=[value, domain]):
                return None, value, domain
            case Call(function=Builtin(name="internal.member_3"), arguments=[key, value, domain]):
                return key, value, domain
        raise Malformed(found.start, f"expected `{keyword} x in xs` or `{keyword} key, x in xs`")

    def _every(self, start: int) -> Expr:
        self.take()
        key, value, domain = self._membership("every", self.term())
        if not isinstance(value, Var) or not isinstance(key, (Var, type(None))):
            raise Malformed(start, "`every` gives values to plain names: `every x in xs`, or `every key, x in xs`")
        self.expect("{", "`{` and what must hold for every element")
        return self._finished(Expr(start, Every(key, value, domain, self.body("}"))))

    # --- Operators ------------------------------------------------------------------------------

    def term(self, *, listed: bool = False) -> Term:
        """A term with all its operators. In a list a comma ends it; elsewhere it may stand in `key, value in xs`."""
        found = self._infix(self._operand())
        while True:
            key = None
            if self.token.kind == "," and not listed:
                key = self.attempt(self._second)
            self.keyword_as_name()
            if self.token.kind != "in":
                return found
            start = self.take().start
            domain = self._infix(self._operand())
            found = _member(start, [found, key, domain] if key else [found, domain])

    def _second(self) -> Term | None:
        self.take()
        found = self._infix(self._operand())
        return found if self.token.kind == "in" else None

    def _infix(self, left: Term, loosest: int = 0) -> Term:
        """Operators that bind as tightly as a level or more, from the left, after their first operand."""
        operators = 0
        while (level := self._level()) >= loosest:
            sign = self.take()
            if sign.kind == "|" and self.token.kind in ("some", "every", "not"):
                raise Malformed(left.start, "what a comprehension collects stands in parentheses if it has operators")
            right = self._operand()
            if self._level() > level:
                right = self._infix(right, level + 1)
            left = Call(left.start, Builtin(sign.start, _OPERATORS[sign.kind][0]), [left, right])
            operators += 1
            if operators > LONGEST:
                raise Malformed(sign.start, f"more than {LONGEST} operators in a row: give parts of this names")
        return left

    def _level(self) -> int:
        return _OPERATORS.get(self.token.kind, ("", -1))[1]

    # --- Operands -------------------------------------------------------------------------------

    def _operand(self) -> Term:
        begin = self._at
        if begin in self._failed:
            raise self._failed[begin]
        if begin in self._read:
            found, self._at = self._read[begin]
            return found
        if self._depth == DEEPEST:
            raise Malformed(self.token.start, f"more than {DEEPEST} terms in one another: give the inner ones names")
        self._depth += 1
        try:
            found = self._suffixed(self._simple())
        except Malformed as error:
            self._failed[begin] = error
            raise
        finally:
            self._depth -= 1
        self._read[begin] = found, self._at
        return found

    def _simple(self) -> Term:
        token = self.token
        match token.kind:
            case "null" | "true" | "false":
                return Scalar(self.take().start, _CONSTANTS[token.kind])
            case "number":
                return _number(token.start, self.take().value)
            case "text":
                return Scalar(token.start, self.take().value)
            case "-":
                return self._minus()
            case "template":
                return self._template()
            case "name" | "contains":
                return self._var()
            case "[":
                return self._array()
            case "{":
                return self._braces()
            case "(":
                return self._parentheses()
            case _:
                raise (
                    self.wrong(_HINTS[token.kind])
                    if token.kind in _HINTS
                    else self.expected("a value, a name or a call")
                )

    def _minus(self) -> Term:
        start = self.take().start
        if self.token.kind == "number":
            return _number(start, "-" + self.take().value)
        if self.token.kind not in ("name", "contains"):
            raise self.wrong("a minus stands before a number or a name: write `0 - …`")
        return Call(start, Builtin(start, "minus"), [_number(start, "0"), self._suffixed(self._var())])

    def _var(self) -> Var:
        token = self.take()
        return Var(token.start, f"_{next(self._wildcards)}$" if token.value == "_" else str(token.value))

    def _parentheses(self) -> Term:
        self.take()
        found = self.term()
        self.expect(")", "`)`")
        return found

    def _suffixed(self, head: Term) -> Term:
        """A term with what follows it without a space: `.name`, `[part]` and `(arguments)`."""
        found, calls = head, 0
        while not self.token.spaced and self.token.kind in (".", "[", "("):
            if isinstance(head, (Scalar, Template, Ref)):
                raise self.wrong("what stands before this has no parts and cannot be called: is an operator missing?")
            if self.token.kind == "(":
                calls += 1
                if isinstance(found, Call) or calls > DEEPEST:
                    raise self.wrong("the result of a call cannot be called")
                found = _call(found, self._arguments())
            elif isinstance(found, Ref):
                found.parts.append(self._part())
            else:
                found = Ref(head.start, found, [self._part()])
        return found

    def _part(self) -> Term:
        sign = self.take()
        if sign.kind == "[":
            found = self.term()
            self.expect("]", "`]`")
            return found
        if self.token.spaced or self.token.kind not in KEYWORDS | {"name"}:
            raise self.wrong('after a dot comes a name; anything else stands in brackets: `x["a-b"]`, `x[0]`')
        token = self.take()
        return Scalar(token.start, token.value, token.value)

    def _arguments(self) -> list[Term]:
        self.take()
        return self._list(")", [])

    def _list(self, end: str, found: list[Term]) -> list[Term]:
        """Terms with commas between them; one after the last is no harm."""
        while self.token.kind != end:
            found.append(self.term(listed=True))
            self._comma(end)
        self.take()
        return found

    def _comma(self, end: str) -> None:
        if self.token.kind == ",":
            self.take()
        elif self.token.kind != end:
            raise self.expected(f"`,` or `{end}`")

    # --- Collections and comprehensions -----------------------------------------------------------

    def _array(self) -> Term:
        start = self.take().start
        skipped = self._leading_comma()
        if self.token.kind == "]":
            return self._emptied(start, skipped)
        first = self._operand()
        found = None if skipped else self._comprehension(start, "array", [first], "]")
        if found:
            return found
        first = self._rest(first)
        self._comma("]")
        return Array(start, self._list("]", [first]))

    def _emptied(self, start: int, skipped: bool) -> Term:
        if skipped:
            raise self.expected("a value after the comma")
        return Array(start, []) if self.take().kind == "]" else Object(start, [])

    def _leading_comma(self) -> bool:
        return self.token.kind == "," and bool(self.take())

    def _rest(self, first: Term) -> Term:
        """An item of which one operand is read."""
        found = self._infix(first)
        while self.token.kind == "in":
            start = self.take().start
            found = _member(start, [found, self._infix(self._operand())])
        return found

    def _braces(self) -> Term:
        start = self.take().start
        skipped = self._leading_comma()
        if self.token.kind == "}":
            return self._emptied(start, skipped)
        first = self._operand()
        found = None if skipped else self._comprehension(start, "set", [first], "}")
        if found:
            return found
        first = self._rest(first)
        if self.token.kind == ":":
            return self._object(start, first, skipped)
        self._comma("}")
        return Set(start, self._list("}", [first]))

    def _object(self, start: int, key: Term, skipped: bool) -> Term:
        self.take()
        value = self._operand()
        found = None if skipped else self._comprehension(start, "object", [key, value], "}")
        if found:
            return found
        pairs = [(key, self._rest(value))]
        self._comma("}")
        while self.token.kind != "}":
            key = self.term(listed=True)
            self.expect(":", "`:` between a key and its value")
            pairs.append((key, self.term(listed=True)))
            self._comma("}")
        self.take()
        return Object(start, pairs)

    def _comprehension(self, start: int, kind: str, head: list[Term], end: str) -> Term | None:
        """A comprehension, if `|` and a body follow; None where the `|` is the operator of an item in a list."""
        if self.token.kind != "|":
            return None
        before = self._at
        self.take()
        try:
            return Comprehension(start, kind, head, self.body(end))
        except Malformed:
            if self.token.kind != ",":
                raise
        self._at = before
        return None

    def _template(self) -> Term:
        piece = self.take()
        found = Template(piece.start, [piece.value], [])
        while not piece.last:
            part = self.expression()
            if part.negated or isinstance(part.what, (Assign, Unify, Some, SomeIn, Every)):
                raise Malformed(part.start, "a template text holds values: no `not`, `:=`, `=`, `some` or `every`")
            self.expect("}", "`}` after the value in a template text")
            piece = self.take()
            found.parts.append(part)
            found.texts.append(piece.value)
        return found


def _number(start: int, text: str) -> Scalar:
    return Scalar(start, Decimal(text), text)


def _call(function: Term, arguments: list[Term]) -> Term:
    if isinstance(function, Var) and function.name == "set" and not arguments:
        return Set(function.start, [])
    return Call(function.start, function, arguments)


def _member(start: int, arguments: list[Term]) -> Term:
    name = "internal.member_2" if len(arguments) == 2 else "internal.member_3"
    return Call(arguments[0].start, Builtin(start, name), arguments)


class Unsupported(Malformed):
    """The text is Rego, of a form that is not read here."""
