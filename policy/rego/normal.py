"""Modules in a normal form that every front end reads alike: names are whole, variables have names that nothing else
has, each line of a body does one thing, and the lines stand in an order in which each has what it needs. A table leads
from its lines back to the author's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import count

from policy.rego.check.rewording import every_as_absence, operands_first
from policy.rego.check.steps import VARIADIC
from policy.rego.check.variables import inner_bodies, step_variables
from policy.rego.check.walk import ROOTS, children, variables
from policy.rego.syntax.tokens import KEYWORDS
from policy.rego.syntax.tree import (
    Absent,
    Array,
    Assign,
    Builtin,
    Call,
    Comprehension,
    Every,
    Expr,
    Head,
    Module,
    Object,
    Ref,
    Rule,
    Scalar,
    Set,
    Some,
    SomeIn,
    Template,
    Term,
    Unify,
    Var,
)

Piece = tuple[int, str]  # where the author wrote what it says, and the text
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE_FRACTION = re.compile(r"^(-?)\.")
_SIGNS = {
    "equal": "==",
    "neq": "!=",
    "lt": "<",
    "gt": ">",
    "lte": "<=",
    "gte": ">=",
    "or": "|",
    "and": "&",
    "plus": "+",
    "minus": "-",
    "mul": "*",
    "div": "/",
    "rem": "%",
    "internal.member_2": "in",
}
_RELATION = "walk"  # has several results, and takes what they are matched with as an argument


def normal_form(module: Module) -> tuple[str, list[int]]:
    """A checked module's normal form, and for each of its lines where in the module it comes from. Uses it up."""
    lines, starts = [f"package {_path(module.package)}"], [module.start]
    for rule in module.rules:
        line: list[Piece] = []
        for piece in _rule(rule):
            if piece[1] != "\n":
                line.append(piece)
            elif line:
                lines.append("".join(text for _, text in line))
                starts.append(line[0][0])
                line = []
    return "\n".join((*lines, "")), starts


def _path(package: tuple[str, ...]) -> str:
    return package[0] + "".join(_part(one) for one in package[1:])


def _part(name: str) -> str:
    """A constant text in a path."""
    return f".{name}" if _NAME.fullmatch(name) and name not in KEYWORDS else f"[{_text(name)}]"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _rule(rule: Rule) -> Iterator[Piece]:
    for index, branch in enumerate(rule.branches()):
        writer = _Writer()
        if rule.default:
            yield rule.start, "default "
        yield from writer.otherwise(branch) if index else writer.head(branch.head)
        body = branch.body or ([Expr(branch.start, Scalar(branch.start, True))] if branch.otherwise else [])
        if body:
            yield branch.start, " if {"
            yield from writer.body(body)
            yield from () if branch.otherwise else ((branch.start, "}"),)
        yield from () if branch.otherwise else ((branch.start, "\n"),)


class _Writer:
    """Writes one branch of a rule."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._numbers = count()
        self._given: set[str] = set()

    def head(self, head: Head) -> Iterator[Piece]:
        """Name, arguments and value."""
        yield head.start, head.name
        yield from self._parts(head.parts)
        if head.arguments is not None:
            self._given |= {var.name for one in head.arguments for var in variables(one)}
            yield from self._listed("(", head.arguments, ")")
        if head.contains:
            yield head.start, " contains "
            yield from self._term(head.contains)
        if head.value:
            yield head.start, " := "
            yield from self._term(head.value)

    def otherwise(self, branch: Rule) -> Iterator[Piece]:
        """The beginning of an `else`. Its arguments are the rule's, in the same order."""
        for _ in self.head(branch.head):
            pass  # its arguments have the names that they have in the rule
        yield branch.start, "} else"
        if branch.head.value:
            yield branch.start, " := "
            yield from self._term(branch.head.value)

    def body(self, body: Iterable[Expr]) -> Iterator[Piece]:
        """Steps, each on a line; what they give values to ends with them."""
        outside = set(self._given)
        written = [step for one in body for step in self._reworded(one) if not _is_silent(step)]
        for step in written or [Expr(0, Scalar(0, True))]:
            yield step.start, "\n"
            yield from self._step(self._assigned(step))
        yield 0, "\n"
        self._given = outside

    def _assigned(self, step: Expr) -> Expr:
        """The step, as an assignment where it gives a new variable a value, or a body inside would have that for its
        own; but as a unification where there are variables in brackets, or regopy breaks off.
        """
        new = step_variables(step).keys() - self._given
        match step.what:
            case Unify(left=Var(name=name) as left, right=right) if new == {name} and not (
                _ranges(right) or step.withs
            ):
                step.what = Assign(left, right)
            case Assign(left=left, right=right) if _ranges(right) or step.withs:
                step.what = Unify(left, right)
        if not isinstance(step.what, Absent):
            self._given |= new
        return step

    def _reworded(self, step: Expr) -> list[Expr]:
        if isinstance(step.what, Every) and any(map(_encloses, step.what.body)):
            return every_as_absence(
                step, step.what, self._made
            )  # in a body inside of `every`, regopy loses what is in it
        return operands_first(step, self._made) if step.negated and not step.below else [step]

    def _made(self, start: int) -> Var:
        return Var(start, f"?operand{next(self._numbers)}")

    def _step(self, step: Expr) -> Iterator[Piece]:
        if step.negated:
            yield step.start, "not "
        match step.what:
            case Assign(left=left, right=right):
                yield from self._sides(step.start, left, ":=", right)
            case Unify(left=left, right=right):
                yield from self._sides(step.start, left, "=", right)
            case Call(function=Builtin(name="equal"), arguments=[left, right]) if _ranges(left) or _ranges(right):
                yield from self._sides(step.start, left, "=", right)
            case Every() as what:
                yield from self._every(step.start, what)
            case Absent(body=body):
                yield step.start, "[] == [true |"
                yield from self.body(body)
                yield step.start, "]"
            case Some() | SomeIn():  # become others, or nothing, when bodies become steps
                raise AssertionError(step)
            case what:
                yield from self._term(what)
        for one in step.withs:
            yield one.start, " with "
            yield from self._term(one.target)
            yield one.start, " as "
            yield from self._term(one.value)

    def _sides(self, start: int, left: Term, sign: str, right: Term) -> Iterator[Piece]:
        if isinstance(right, Call) and right.function == Builtin(right.function.start, _RELATION):
            yield from self._call(Call(right.start, right.function, [*right.arguments, left]))
            return
        yield from self._term(left)
        yield start, f" {sign} "
        yield from self._term(right)

    def _every(self, start: int, what: Every) -> Iterator[Piece]:
        yield start, "every "
        if what.key:
            yield start, f"{self._name(what.key)}, "
        yield start, f"{self._name(what.value)} in "
        yield from self._term(what.domain)
        yield start, " {"
        self._given |= {one.name for one in (what.key, what.value) if one}
        yield from self.body(what.body)
        yield start, "}"

    def _call(self, call: Call) -> Iterator[Piece]:
        name = call.function.name if isinstance(call.function, Builtin) else ""
        if name in _SIGNS:
            yield from self._sides(call.start, call.arguments[0], _SIGNS[name], call.arguments[1])
        else:
            yield from self._term(call.function)
            yield from self._listed("(", call.arguments, ")")

    # --- Terms ----------------------------------------------------------------------------------

    def _term(self, term: Term) -> Iterator[Piece]:
        match term:
            case Scalar():
                yield term.start, _scalar(term)
            case Var():
                yield term.start, self._name(term)
            case Builtin(name=name):
                yield term.start, name
            case Ref(head=head, parts=parts):
                yield from self._term(head)
                yield from self._parts(parts)
            case Array(items=items):
                yield from self._listed("[", items, "]")
            case Set(items=items):
                yield from self._listed("{", items, "}") if items else ((term.start, "set()"),)
            case Object(pairs=pairs):
                yield from self._object(term.start, pairs)
            case Comprehension():
                yield from self._comprehension(term)
            case Template():
                yield from self._template(term)
            case Call():
                yield from self._call(term)

    def _name(self, var: Var) -> str:
        if var.name in ROOTS:
            return var.name
        return "_" if var.name.endswith("$") else self._names.setdefault(var.name, f"local_{len(self._names)}")

    def _parts(self, parts: list[Term]) -> Iterator[Piece]:
        for one in parts:
            if isinstance(one, Scalar) and isinstance(one.value, str) and one.text:
                yield one.start, _part(one.value)
            else:
                yield from self._listed("[", [one], "]")

    def _listed(self, opened: str, items: list[Term], closed: str) -> Iterator[Piece]:
        yield 0, opened
        for index, one in enumerate(items):
            yield 0, ", " if index else ""
            yield from self._term(one)
        yield 0, closed

    def _object(self, start: int, pairs: list[tuple[Term, Term]]) -> Iterator[Piece]:
        yield start, "{"
        for index, (key, value) in enumerate(pairs):
            yield start, ", " if index else ""
            yield from self._sides(start, key, ":", value)
        yield start, "}"

    def _comprehension(self, term: Comprehension) -> Iterator[Piece]:
        opened, closed = "[]" if term.kind == "array" else "{}"
        yield term.start, opened
        for index, one in enumerate(term.head):
            yield term.start, ": " if index else ""
            yield from self._term(one)
        yield term.start, " |"
        yield from self.body(term.body)
        yield term.start, closed

    def _template(self, term: Template) -> Iterator[Piece]:
        """A template is a call: of texts, and of sets that are empty where a value is undefined."""
        yield term.start, "internal.template_string(["
        for index, text in enumerate(term.texts):
            if index:
                yield from self._step(term.parts[index - 1])
                yield term.start, ", "
            yield term.start, f"{_text(text)}, "
        yield term.start, "])"


def _encloses(step: Expr) -> bool:
    return step.negated or any(True for _ in inner_bodies(step))


def _ranges(term: Term) -> bool:
    """Whether a variable stands in brackets in a term."""
    if isinstance(term, Ref) and not all(isinstance(one, Scalar) for one in term.parts):
        return True
    return any(_ranges(one) for one in children(term)) and not isinstance(term, Comprehension)


def _is_silent(step: Expr) -> bool:
    return isinstance(step.what, Call) and step.what.function == Builtin(step.what.function.start, VARIADIC)


def _scalar(term: Scalar) -> str:
    if isinstance(term.value, str):
        return _text(term.value)
    return _BARE_FRACTION.sub(r"\g<1>0.", term.text) or json.dumps(term.value)
