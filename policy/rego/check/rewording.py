"""Steps in other words, which every front end understands alike."""

from __future__ import annotations

from collections.abc import Callable

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
    Scalar,
    Set,
    Some,
    SomeIn,
    Template,
    Term,
    Unify,
    Var,
)

Made = Callable[[int], Var]


def operands_first(step: Expr, made: Made) -> list[Expr]:
    """A negated step, after steps for what it uses: what is undefined there is no ground for `not` to hold. That is
    what stands in the arguments of calls, in brackets and in collections; but not what is compared or looked up
    itself: `not input.x == 1` holds where there is no x.
    """
    before: list[Expr] = []
    hoist = _Hoist(step, made, before)
    match step.what:
        case Unify() as what:
            what.left, what.right = hoist.compared(what.left), hoist.compared(what.right)
        case Call(function=Builtin(name="equal"), arguments=[left, right]) as what:
            what.arguments = [hoist.compared(left), hoist.compared(right)]
        case Call() as what:
            what.arguments = [hoist.operand(one) for one in what.arguments]
        case Assign() | Some() | SomeIn() | Every() | Absent():
            pass
        case what:
            step.what = hoist.compared(what)
    return [*before, step]


def every_as_absence(step: Expr, what: Every, made: Made) -> list[Expr]:
    """`every`, in other words: the domain is a collection, and no element is such that the body does not hold."""
    kind = made(step.start)
    kinds = Set(step.start, [Scalar(step.start, one) for one in ("array", "object", "set")])
    element = Unify(what.value, Ref(step.start, what.domain, [what.key or made(step.start)]))
    counter = Absent([Expr(step.start, element), Expr(step.start, Absent(what.body))])
    return [
        Expr(step.start, Assign(kind, Call(step.start, Builtin(step.start, "type_name"), [what.domain]))),
        Expr(step.start, Call(step.start, Builtin(step.start, "internal.member_2"), [kind, kinds])),
        Expr(step.start, counter, withs=step.withs),
    ]


class _Hoist:
    def __init__(self, step: Expr, made: Made, before: list[Expr]):
        self._step = step
        self._made = made
        self._before = before

    def compared(self, term: Term) -> Term:
        """A side of a comparison."""
        if isinstance(term, Ref):
            term.parts = [self.operand(one) for one in term.parts]
            return term
        return term if isinstance(term, Comprehension) else self.operand(term)

    def operand(self, term: Term) -> Term:
        """What must have a value."""
        match term:
            case Ref(parts=parts):
                term.parts = [self.operand(one) for one in parts]
                return self._held(term)
            case Comprehension() | Template():
                return self._held(term)
            case Array(items=items) | Set(items=items):
                term.items = [self.operand(one) for one in items]
            case Object(pairs=pairs):
                term.pairs = [(self.operand(key), self.operand(value)) for key, value in pairs]
        return term

    def _held(self, term: Term) -> Var:
        var = self._made(term.start)
        self._before.append(Expr(term.start, Assign(var, term), withs=self._step.withs))
        return var
