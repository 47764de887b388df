"""Bodies as steps: each expression does one thing. A call inside of a term becomes an expression before it, with a
variable for its result; so does a collection that is looked into at once. What a comprehension collects is the last
step of its body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

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
    Set,
    Some,
    SomeIn,
    Template,
    Term,
    Unify,
    Var,
    With,
)

MADE = "?"  # variables that no author wrote begin so


class Steps:
    """Makes steps of bodies, in place."""

    def __init__(self) -> None:
        self._numbers = count()

    def body(self, body: Iterable[Expr], collected: Iterable[Term]) -> list[Expr]:
        """Steps of a body, and of the terms that it gives values to."""
        found = [step for one in body for step in self._expression(one)]
        for term in collected:
            found += self._held(term, [])[0]
        return found

    def _made(self, start: int) -> Var:
        return Var(start, f"{MADE}{next(self._numbers)}")

    def _held(self, term: Term, withs: list[With]) -> tuple[list[Expr], Var]:
        """Steps after which a term is in a variable."""
        var = self._made(term.start)
        before: list[Expr] = []
        held = self._plain(term, before, withs)
        return [*before, Expr(term.start, Unify(var, held), withs=withs)], var

    def _expression(self, one: Expr) -> Iterator[Expr]:
        for replaced in one.withs:
            if not isinstance(replaced.value, (Var, Builtin)):
                before, replaced.value = self._held(replaced.value, [])
                yield from before
        before = []
        match one.what:
            case Some():
                return
            case SomeIn() as what:
                one.what = self._unified(what)
                yield from self._unification(one, one.what)
                return
            case Assign() | Unify() as what:
                yield from self._unification(one, what)
                return
            case Every() as what:
                before, what.domain = self._held(what.domain, one.withs)
                what.body = self.body(what.body, ())
            case Call() as what:
                what.arguments = [self._plain(term, before, one.withs) for term in what.arguments]
            case term:
                one.what = self._plain(term, before, one.withs)
        yield from before
        yield one

    def _unified(self, what: SomeIn) -> Unify:
        key = what.key or self._made(what.domain.start)
        domain = what.domain
        parts, head = (domain.parts, domain.head) if isinstance(domain, Ref) else ([], domain)
        return Unify(what.value, Ref(domain.start, head, [*parts, key]))

    def _unification(self, one: Expr, what: Assign | Unify) -> Iterator[Expr]:
        before: list[Expr] = []
        what.left = self._plain(what.left, before, one.withs)
        what.right = self._plain(what.right, before, one.withs)
        yield from before
        yield one

    def _plain(self, term: Term, before: list[Expr], withs: list[With]) -> Term:
        """A term without calls; what it takes to have it so comes before."""
        match term:
            case Call():
                result = self._made(term.start)
                term.arguments = [*(self._plain(one, before, withs) for one in term.arguments), result]
                before.append(Expr(term.start, term, withs=withs))
                return result
            case Ref(head=head, parts=parts):
                term.parts = [self._plain(one, before, withs) for one in parts]
                if not isinstance(head, Var):
                    made, term.head = self._held(head, withs)
                    before += made
            case Array(items=items) | Set(items=items):
                term.items = [self._plain(one, before, withs) for one in items]
            case Object(pairs=pairs):
                term.pairs = [tuple(self._plain(one, before, withs) for one in pair) for pair in pairs]  # type: ignore[misc]
            case Comprehension():
                term.body, term.head = self.body(term.body, term.head), []
            case Template():
                term.parts = [step for one in term.parts for step in self._expression(one)]
        return term
