"""Modules: a package, imports and rules. What is read is Rego version 1 as OPA 1.22 reads it."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

from policy.rego.syntax.terms import Terms, Unsupported
from policy.rego.syntax.tokens import END, FUTURE, KEYWORDS, Malformed, comments, tokens
from policy.rego.syntax.tree import (
    Array,
    Call,
    Comprehension,
    Expr,
    Head,
    Import,
    Module,
    Object,
    Ref,
    Rule,
    Scalar,
    Set,
    Template,
    Term,
    Var,
)

_ROOTS = ("data", "input", "future", "rego")
_IN_OPERATIONS = ("contains", "every", "if", "in")  # keywords that once were of the future
_INTO_RULE = (":=", "=", "if", "contains", "(")  # what follows the name of a rule


def parse(file: str, text: str) -> Module:
    """Read a module. Raises Malformed; Unsupported where the text may be good but is not read here."""
    return _Modules(file, text).module()


def package(text: str) -> str:
    """The package that a module declares, "portcullis/access", if it has rules or anything that may be one; "" if not.
    Reads no further, so the text may be in any form of Rego.
    """
    try:
        reader = _Modules("", text)
        found = reader.package()
    except Malformed:
        return ""
    return "" if reader.token.kind == END else "/".join(found)


class _Modules(Terms):
    def __init__(self, file: str, text: str):
        found = tokens(text)
        super().__init__(found)
        self._module = Module(file, text, comments(text, found), found[0].start)

    def module(self) -> Module:
        if self.token.kind != "package":
            raise Malformed(self.token.start, "a module begins with its package: write `package …` at the top")
        self._module.package = self.package()
        try:
            while self.token.kind != END:
                self._statement()
        except Malformed:
            self._check_operators()
            raise
        return self._module

    def _check_operators(self) -> None:
        """Where `and` and `or` are keywords, what reads as a mistake may be one of them."""
        operators = self.future & FUTURE
        for before, token in pairwise(self._tokens):
            if token.value in operators and token.kind == "name" and before.kind != ".":
                raise Unsupported(token.start, f"the operator `{token.value}`")

    def package(self) -> tuple[str, ...]:
        """The path after `package`."""
        self.take()
        start = self.token.start
        path = self._path("the name of the package, such as `bank.access`")
        if self.token.kind == "-":
            raise Malformed(start, "names have no minus: write `_`")
        return path

    def _path(self, message: str) -> tuple[str, ...]:
        """A name with constant parts, of which the first may be a keyword."""
        if self.token.kind not in KEYWORDS | {"name"}:
            raise self.expected(message)
        found = self._suffixed(self._var())
        parts = found.parts if isinstance(found, Ref) else []
        head = found.head if isinstance(found, Ref) else found
        texts = [one.value for one in parts if isinstance(one, Scalar) and isinstance(one.value, str)]
        if not isinstance(head, Var) or len(texts) != len(parts):
            raise Malformed(found.start, "the parts of this path must be constant texts")
        return (head.name, *texts)

    def _statement(self) -> None:
        self.keyword_as_name()
        token, after = self.token, self._after.kind
        if token.kind == "package" and after not in _INTO_RULE:
            raise Malformed(token.start, "a second package: each has a file of its own")
        if token.kind == "import" and after not in (":=", "=", "("):
            self._module.imports.append(self._import())
        else:
            self._module.rules += self._rules()

    # --- Imports --------------------------------------------------------------------------------

    def _import(self) -> Import:
        start = self.take().start
        at = self.token.start
        path = self._path("a path, such as `data.bank.roles`")
        if path[0] not in _ROOTS:
            raise Malformed(at, f"imports begin with `data.` or `input.`: write `import data.{'.'.join(path)}`")
        if self.token.kind == "as":
            self.take()
            return self._alias(start, at, path)
        if path[0] == "future":
            self._keywords(at, path)
        elif path[0] == "rego":
            self._version(at, path)
        elif path[-1] in KEYWORDS:
            raise Malformed(at, f"`{path[-1]}` is a keyword: import it by another name, `as …`")
        if self.token.kind == "-":
            raise self.wrong("names have no minus")
        return Import(start, path, path[-1])

    def _alias(self, start: int, at: int, path: tuple[str, ...]) -> Import:
        if path[0] in ("future", "rego"):
            raise Malformed(at, "keywords and versions of Rego have no other names: leave out the `as`")
        name = self.token
        if name.kind != "name" or name.value in ("input", "data") or self._after.kind in (".", "["):
            raise self.wrong("after `as` comes a plain name that is neither `input` nor `data`")
        self.take()
        return Import(start, path, str(name.value))

    def _keywords(self, at: int, path: tuple[str, ...]) -> None:
        known = {*_IN_OPERATIONS, *FUTURE, "not"}
        match path:
            case ("future", "keywords"):
                self.future |= FUTURE | {"not"}
            case ("future", "keywords", keyword) if keyword in known:
                self.future |= {keyword}
            case _:
                raise Malformed(
                    at, f"there is no such keyword: import `future.keywords.` and one of {', '.join(sorted(known))}"
                )

    def _version(self, at: int, path: tuple[str, ...]) -> None:
        if path == ("rego", "v2"):
            raise Unsupported(at, "version 2 of Rego")
        if path != ("rego", "v1"):
            raise Malformed(at, "there is no such version of Rego: write `import rego.v1`, or nothing")

    # --- Rules ----------------------------------------------------------------------------------

    def _rules(self) -> list[Rule]:
        start = self.token.start
        default = self.token.kind == "default"
        if default:
            self.take()
            self.keyword_as_name()
        head = self._head()
        if default:
            return [self._default(Rule(start, head, [], default=True))]
        if self.token.kind == "{":
            raise Malformed(start, "`if` is missing before the body of this rule")
        if self.token.kind != "if":
            return [self._constant(Rule(start, head, []))]
        return self._with_bodies(start, head)

    def _head(self) -> Head:
        token = self.token
        self._check_name()
        found = self._suffixed(self._var())
        if self.token.kind == "(" and isinstance(found, (Var, Ref)):
            found = self._spaced(found)
        head = self._signature(found, token.start)
        if self.token.kind == "contains":
            if head.arguments is not None:
                raise self.wrong("`contains` declares a set, and a function is none")
            self.take()
            head.contains = self.term()
        elif self.token.kind in (":=", "="):
            self.take()
            head.value = self.term()
        return head

    def _check_name(self) -> None:
        token = self.token
        if token.kind in KEYWORDS:
            if self._after.kind in _INTO_RULE and token.kind != "else":
                raise Malformed(token.start, f"`{token.kind}` is a keyword: give the rule another name")
            raise self.wrong("an `else` needs a body before it") if token.kind == "else" else self.expected("a rule")
        if token.value in self.future & FUTURE:
            raise Malformed(token.start, f"`{token.value}` is a keyword here: give the rule another name")
        if token.kind != "name":
            raise self.expected("a rule, which begins with its name")

    def _spaced(self, name: Term) -> Term:
        """`f (x) if …`: only a function with a body may have a space there."""
        arguments = self._arguments()
        if self.token.kind != "if":
            raise Malformed(name.start, "there is a space between the function and its arguments: take it out")
        return Call(name.start, name, arguments)

    def _signature(self, found: Term, start: int) -> Head:
        arguments: list[Term] | None = None
        named: Term = found
        if isinstance(found, Call):
            named, arguments = found.function, found.arguments
        match named:
            case Var(name=name):
                return Head(start, name, [], arguments)
            case Ref(head=Var(name=name), parts=parts):
                return Head(start, name, parts, arguments)
        raise Malformed(start, "a rule begins with its name, and arguments come last")

    def _constant(self, rule: Rule) -> Rule:
        """A rule without a body."""
        head = rule.head
        if self.token.kind == "else":
            raise self.wrong("`else` stands after a body: write `if …` before it")
        if self.token.kind == "with":
            raise self.wrong("`with` stands in bodies: write `name := x if { x := … with … }`")
        if self.token.kind == ";":
            raise self.wrong("each rule has a line of its own")
        if head.value is None and head.contains is None:
            if not head.arguments:
                raise Malformed(rule.start, "this says nothing: write `:=` and a value, `contains`, or `if` and a body")
            head.value = Scalar(rule.start, True)
        return rule

    def _default(self, rule: Rule) -> Rule:
        head = rule.head
        if head.contains is not None:
            raise Malformed(rule.start, "a set needs no default: it is empty where nothing is in it")
        head.value = head.value or Scalar(rule.start, True)
        if not _is_fixed(head.value):
            raise Malformed(rule.start, "the value of a default must be a constant: no names, references or calls")
        names = [one.name for one in head.arguments or [] if isinstance(one, Var)]
        if len(set(names)) < len(head.arguments or []):
            raise Malformed(rule.start, "the arguments of a default must be plain names, each of another name")
        if self.token.kind in ("if", "{"):
            raise self.wrong("a default has no body: it holds where no other rule of the name does")
        return rule

    def _with_bodies(self, start: int, head: Head) -> list[Rule]:
        self.take()
        rule = Rule(start, _valued(head), self._rule_body())
        self._branches(rule, head)
        found = [rule]
        while self.token.kind == "{":
            if rule.otherwise:
                raise self.expected("`else`, or another rule")
            begin = self.take().start
            found.append(Rule(begin, deepcopy(rule.head), self.body("}")))
        return found

    def _branches(self, rule: Rule, head: Head) -> None:
        self.keyword_as_name()
        if self.token.kind == "else":
            self._check_else(head)
        while self.token.kind == "else" and rule.body:
            rule.otherwise = self._else(head)
            rule = rule.otherwise

    def _check_else(self, head: Head) -> None:
        if head.contains is not None:
            raise self.wrong("a rule with `contains` has no `else`: write another rule")
        if not all(_is_constant(one) for one in head.parts):
            raise self.wrong("a rule with a variable in its head has no `else`: write another rule")

    def _rule_body(self) -> list[Expr]:
        """`{ … }`, or one expression. What begins with a brace is an expression if it reads as one, but a set."""
        if self.token.kind != "{":
            return [self.expression()]
        before = self._at
        try:
            found = self.expression()
            if not isinstance(found.what, Set):
                return [found]
        except Malformed:
            pass
        self._at = before
        self.take()
        return self.body("}")

    def _else(self, head: Head) -> Rule:
        start = self.take().start
        made = deepcopy(head)
        made.start, made.value = start, None
        if self.token.kind in (":=", "="):
            self.take()
            made.value = self.term()
        elif self.token.kind not in ("if", "{"):
            raise self.expected("`:=` and a value, or `if` and a body")
        rule = Rule(start, _valued(made), [])
        if self.token.kind == "if":
            self.take()
        elif self.token.kind == "{":
            raise self.wrong("`if` is missing before the body of this `else`")
        else:
            return rule
        rule.body = self._else_body()
        return rule

    def _else_body(self) -> list[Expr]:
        if self.token.kind != "{":
            return [self.expression()]
        self.take()
        return self.body("}")


def _valued(head: Head) -> Head:
    if head.value is None and head.contains is None:
        head.value = Scalar(head.start, True)
    return head


def _is_constant(term: Term) -> bool:
    return isinstance(term, Scalar)


def _is_fixed(term: Term) -> bool:
    """Whether a term is the same always; a comprehension in it is looked at elsewhere."""
    match term:
        case Scalar() | Comprehension():
            return True
        case Array(items=items) | Set(items=items):
            return all(_is_fixed(one) for one in items)
        case Object(pairs=pairs):
            return all(_is_fixed(one) for pair in pairs for one in pair)
        case Template(parts=parts):
            return not parts
        case _:
            return False
