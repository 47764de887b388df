"""Bodies as steps: each expression does one thing. A call inside of a term becomes an expression before it, with a
variable for its result; so does a collection that is looked into at once, what `every` goes over, and what `with` puts
in place of something. What a head or a comprehension holds and is not plain is a step at the end of the body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count

from policy.rego.check.walk import children
from policy.rego.syntax.tree import (
    Absent,
    Array,
    Assign,
    Builtin,
    Call,
    Comprehension,
    Every,
    Expr,
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
    With,
)

VARIADIC = "print"  # and it says nothing: it has no result
MADE = "?"  # variables that no author wrote begin so
Arity = Callable[[Term], int | None]


class Steps:
    """Makes steps of one branch of a rule, in place. `arity` tells functions from values."""

    def __init__(self, arity: Arity):
        self._arity = arity
        self._numbers = count()

    def rule(self, rule: Rule) -> None:
        """Make the rule's body steps, and its head constants and variables."""
        rule.body = self._body(rule.body)
        if rule.head.arguments:
            rule.head.arguments = [self._argument(term, rule) for term in rule.head.arguments]
        rule.head.parts = [self._collected(term, rule.body) for term in rule.head.parts]
        if rule.head.contains:
            rule.head.contains = self._collected(rule.head.contains, rule.body)
        if rule.head.value and not rule.default:
            rule.head.value = self._collected(rule.head.value, rule.body)

    def _argument(self, term: Term, rule: Rule) -> Term:
        """An argument that is no pattern is compared with what it is."""
        if is_plain(term):
            return term
        before, held = self._held(term, [])
        var = self.made(term.start)
        rule.body += [*before, Expr(term.start, Unify(var, held))]
        return var

    def _body(self, body: Iterable[Expr]) -> list[Expr]:
        return [step for one in body for step in self._expression(one)]

    def _collected(self, term: Term, body: list[Expr]) -> Term:
        if is_plain(term):
            return term
        steps, var = self._held(term, [])
        body += steps
        return var

    def made(self, start: int) -> Var:
        """A variable of its own."""
        return Var(start, f"{MADE}{next(self._numbers)}")

    def _held(self, term: Term, withs: list[With]) -> tuple[list[Expr], Var]:
        """Steps after which a term is in a variable."""
        before: list[Expr] = []
        held = self._plain(term, before, withs)
        if isinstance(held, Var) and held.name.startswith(MADE):
            return before, held
        var = self.made(term.start)
        return [*before, Expr(term.start, Assign(var, held), withs=withs)], var

    def _expression(self, one: Expr) -> Iterator[Expr]:
        for replaced in one.withs:
            if not is_plain(replaced.value) and self._arity(replaced.value) is None:
                before, replaced.value = self._held(replaced.value, [])
                yield from before
        if one.below:
            one.below = one.negated = False
            yield self._absent(one)
            return
        match one.what:
            case Some() | Absent():
                return
            case SomeIn() as what:
                one.what = self._looked_up(what)
                yield from self._sides(one, one.what)
            case Assign() | Unify() as what:
                yield from self._sides(one, what)
            case Every() as what:
                before, what.domain = self._held(what.domain, one.withs)
                what.body = self._body(what.body)
                yield from (*before, one)
            case Call() as what:
                before = []
                what.arguments = [self._plain(term, before, one.withs) for term in what.arguments]
                one.what = self._result_matched(what)
                yield from (*before, one)
            case what:
                before = []
                one.what = self._plain(what, before, one.withs)
                yield from (*before, one)

    def _absent(self, one: Expr) -> Expr:
        withs, one.withs = one.withs, []
        steps = [*self._expression(one)]
        if len(steps) == 1:
            return Expr(one.start, steps[0].what, negated=True, withs=withs, below=True)
        return Expr(one.start, Absent(steps), withs=withs)

    def _result_matched(self, call: Call) -> Call | Unify:
        """The last argument may be what the result is matched with."""
        arity = self._arity(call.function)
        if arity is None or len(call.arguments) == arity or call.function == Builtin(call.function.start, VARIADIC):
            return call
        *arguments, result = call.arguments
        return Unify(result, Call(call.start, call.function, arguments))

    def _looked_up(self, what: SomeIn) -> Unify:
        """`some key, value in domain` is `value = domain[key]`."""
        key = what.key or self.made(what.domain.start)
        domain = what.domain
        parts, head = (domain.parts, domain.head) if isinstance(domain, Ref) else ([], domain)
        return Unify(what.value, Ref(domain.start, head, [*parts, key]))

    def _sides(self, one: Expr, what: Assign | Unify) -> Iterator[Expr]:
        before: list[Expr] = []
        what.left = self._plain(what.left, before, one.withs)
        what.right = self._plain(what.right, before, one.withs)
        yield from (*before, one)

    def _plain(self, term: Term, before: list[Expr], withs: list[With]) -> Term:
        """A term without calls; what it takes to have it so comes before."""
        match term:
            case Call():
                result = self.made(term.start)
                term.arguments = [self._plain(one, before, withs) for one in term.arguments]
                before.append(Expr(term.start, Assign(result, term), withs=withs))
                return result
            case Ref(head=head, parts=parts):
                term.parts = [self._plain(one, before, withs) for one in parts]
                if not isinstance(head, Var):
                    made, term.head = self._held(head, withs)
                    before += made
            case Array(items=items) | Set(items=items):
                term.items = [self._plain(one, before, withs) for one in items]
            case Object(pairs=pairs):
                term.pairs = [
                    (self._plain(key, before, withs), self._plain(value, before, withs)) for key, value in pairs
                ]
            case Comprehension():
                self._comprehension(term)
            case Template():
                term.parts = [Expr(one.start, self._optional(one)) for one in term.parts]
                result = self.made(term.start)
                before.append(Expr(term.start, Assign(result, term), withs=withs))
                return result
        return term

    def _optional(self, part: Expr) -> Comprehension:
        """The set of a template's value; it is empty where there is none."""
        assert not isinstance(part.what, (Assign, Unify, Some, SomeIn, Every, Absent))  # noqa: S101 - the parser sees to it
        result = self.made(part.start)
        body = self._body([Expr(part.start, Assign(result, part.what), withs=part.withs)])
        return Comprehension(part.start, "set", [result], body)

    def _comprehension(self, term: Comprehension) -> None:
        term.body = self._body(term.body)
        term.head = [self._collected(one, term.body) for one in term.head]


def is_plain(term: Term) -> bool:
    """Whether a term needs no evaluation beyond that of its variables."""
    match term:
        case Scalar() | Var():
            return True
        case Array() | Set() | Object():
            return all(is_plain(one) for one in children(term))
        case _:
            return False
