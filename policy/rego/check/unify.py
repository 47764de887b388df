"""What a unification gives values to: the variables of one side that the other side's values reach."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set

from policy.rego.check.walk import ROOTS, children, pattern
from policy.rego.syntax.tree import Array, Call, Comprehension, Object, Ref, Scalar, Term, Var


def unified(safe: Set[str], left: Term, right: Term) -> set[str]:
    """Names that have values after `left = right`, if those in `safe` have one before."""
    unifier = _Unifier(safe)
    unifier.unify(left, right)
    return unifier.given


def is_safe(ref: Ref, safe: Set[str]) -> bool:
    """Whether it is known where a reference begins."""
    return isinstance(ref.head, Var) and (ref.head.name in safe or ref.head.name in ROOTS)


class _Unifier:
    def __init__(self, safe: Set[str]):
        self._safe = safe
        self.given: set[str] = set()
        self._needs: dict[str, set[str]] = {}  # of a variable that has no value yet: those that it waits for

    def unify(self, left: Term, right: Term) -> None:
        """Give values from either side to the other."""
        match left, right:
            case Var(), Var():
                self._equal(left.name, right.name)
            case (Var(), Array() | Object()):
                self._pattern(left.name, right)
            case (Array() | Object(), Var()):
                self._pattern(right.name, left)
            case Array(items=one), Array(items=other):
                self._pairs(zip(one, other, strict=True) if len(one) == len(other) else ())
            case Object(pairs=one), Object(pairs=other):
                self._values(one, other)
            case _:
                self._from(left, right)
                self._from(right, left)

    def _from(self, source: Term, target: Term) -> None:
        """Give the values of a source that is no pattern to a target; one that holds none gives them to a name only."""
        holds = isinstance(source, (Ref, Call, Comprehension))
        if self._is_known(source) and isinstance(target, (Var, Array, Object) if holds else Var):
            for var in pattern(target):
                self._give(var.name)

    def _is_known(self, source: Term) -> bool:
        match source:
            case Ref():
                return is_safe(source, self._safe)
            case Call(arguments=arguments):
                return all(var.name in self._safe for one in arguments for var in pattern(one))
            case _:
                return not isinstance(source, (Var, Array, Object))

    def _pairs(self, pairs: Iterator[tuple[Term, Term]] | tuple[()]) -> None:
        for one, other in pairs:
            self.unify(one, other)

    def _values(self, one: list[tuple[Term, Term]], other: list[tuple[Term, Term]]) -> None:
        """Values under the same keys, where two objects have as many."""
        by_key = {_same(key): value for key, value in other}
        if len(one) == len(other):
            for key, value in one:
                if _same(key) in by_key:
                    self.unify(value, by_key[_same(key)])

    def _equal(self, one: str, other: str) -> None:
        if self._has(other):
            self._give(one)
        elif self._has(one):
            self._give(other)
        else:
            self._needs.setdefault(one, set()).add(other)
            self._needs.setdefault(other, set()).add(one)

    def _pattern(self, name: str, term: Term) -> None:
        """A variable on one side, a collection on the other: either gives the other its values."""
        names = {var.name for var in pattern(term)}
        lacking = {one for one in names if not self._has(one)}
        if self._has(name):
            for one in names:
                self._give(one)
        elif lacking:
            self._needs.setdefault(name, set()).update(lacking)
        else:
            self._give(name)

    def _has(self, name: str) -> bool:
        return name in self._safe or name in self.given

    def _give(self, name: str) -> None:
        """Give a variable a value, and with it those that waited for this alone or that it waited for."""
        if name in self.given:
            return
        self.given.add(name)
        for one in self._needs.pop(name, set()):
            self._give(one)
        for one, needs in [*self._needs.items()]:
            needs.discard(name)
            if not needs and one in self._needs:
                del self._needs[one]
                self._give(one)


def _same(term: Term) -> Hashable:
    """Equal for terms that are written the same."""
    match term:
        case Scalar(value=value):
            return type(value), value
        case Var(name=name):
            return name
        case _:
            return type(term), tuple(_same(one) for one in children(term))
