"""Writes look-ups, each with the check that follows it where one does."""

from __future__ import annotations

from policy.rego.compiler.body import Body, not_false, number_of
from policy.rego.compiler.expressions import local, shape
from policy.rego.plan import Constant, Dot, Equal, Local, Operand, Statement


class Lookups(Body):
    """Look-ups of one function."""

    def _dot(self, dot: Dot, following: Statement | None, on_the_way: bool) -> int:
        path, source = self._origins.get(dot.target), self._origins.get(number_of(dot.source))
        on_the_way = on_the_way and path is not None and dot.target not in self._locals.wholes
        if on_the_way and self._passing(dot):
            return 1
        if not on_the_way and (read := path or source):
            self._report(read)
        value, name = self._values.looked_up(dot, path, source), local(dot.target)
        wanted = _compared(dot, following)
        if wanted is not None and self._locals.read(dot.target) == 1:
            self._leave_if(self._unlike(f"({value})" if " if " in value else value, wanted))
            return 2
        self._lines.add(f"{name} = {value}")
        if isinstance(following, Equal) and self._second(dot.target, following):
            return 1  # nothing equals what is undefined
        if wanted is not None:
            self._leave_if(self._unlike(name, wanted))
            return 2
        if not_false(following, dot.target):
            self._leave_if(f"{name} is U or {name} is False")
            return 2
        self._leave_if(f"{name} is U", path if on_the_way else None)
        return 1

    def _second(self, number: int, equal: Equal) -> bool:
        """Whether a local is only compared with another one, in the next statement."""
        sides = (equal.a, equal.b)
        return equal.a != equal.b and Local(number) in sides and all(isinstance(one, Local) for one in sides)

    def _unlike(self, value: str, wanted: Operand) -> str:
        word = "is not" if shape(wanted) == "singleton" else "!="
        return f"{value} {word} {self._values.operand(wanted)}"

    def _passing(self, dot: Dot) -> bool:
        """Whether what a look-up finds is only looked into, and that by what was done at the start."""
        if self._origins.get(dot.target) in self._source.getters:
            return True
        readers = self._locals.dots.get(dot.target, ())
        return all(self._origins.get(one) in self._source.hoisted for one in readers)


def _compared(dot: Dot, following: Statement | None) -> Operand | None:
    """The text, boolean or null that a look-up's result is compared with by the next statement."""
    if not isinstance(following, Equal):
        return None
    sides = (following.a, following.b)
    if Local(dot.target) not in sides:
        return None
    other = sides[0] if sides[1] == Local(dot.target) else sides[1]
    return other if isinstance(other, Constant) and shape(other) in ("text", "singleton") else None
