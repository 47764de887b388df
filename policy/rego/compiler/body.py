"""What writing any part of a function needs: its lines, the ways out of its blocks, and the report of its reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from policy.rego.builtins import IMPURE
from policy.rego.compiler.flow import Flow, Lines
from policy.rego.compiler.locals import Locals
from policy.rego.compiler.origins import Path, origins, static
from policy.rego.compiler.prelude import Entry
from policy.rego.compiler.reads import Reads, reported
from policy.rego.compiler.values import Values
from policy.rego.plan import (
    DATA,
    INPUT,
    Call,
    Constant,
    Dot,
    Function,
    Local,
    NotEqual,
    Operand,
    Place,
    Plan,
    Statement,
)

if TYPE_CHECKING:
    from policy.rego.compiler.source import Source


class Body:
    """A function as it is written."""

    def __init__(
        self, plan: Plan, function: Function, source: Source, sources: Mapping[str, str], entry: Entry | None = None
    ):
        self._plan = plan
        self._function = function
        self._source = source
        self._sources = sources
        self._lines = Lines()
        self._flow = Flow(self._lines)
        self._reads = Reads(source)
        self._origins = origins(function)
        self._locals = Locals(plan, function)
        self._values = Values(plan, function, source, self._locals, entry.names if entry else {})
        self._entry = entry
        self._loops = 0
        self._beside = Place()

    def _leave(self, index: int, also: Path | None = None) -> None:
        self._lines.add(*self._reads.leaving(index + 1, also))
        self._flow.leave(index)

    def _leave_if(self, condition: str, also: Path | None = None) -> None:
        """Leave the block on a condition; `also` is the path at which there was nothing."""
        self._lines.add(f"if {condition}:")
        with self._lines.deeper():
            self._leave(0, also)

    def _return(self, value: str) -> None:
        self._lines.add(*self._reads.returning())
        self._flow.end(f"({value}, t)" if self._entry else value)

    def _documents(self, statement: Statement) -> None:
        """Report the documents where a statement uses one as a whole, and a builtin that asks clock or chance."""
        if isinstance(statement, Dot):
            return
        if isinstance(statement, Call) and statement.func in IMPURE:
            self._reads.note((statement.func,))
        used = [one.number for one in self._locals.used(statement)]
        for document, path in ((INPUT, ("input",)), (DATA, ("data",))):
            if document in used:
                self._reads.note(path)

    def _report(self, path: Path) -> None:
        if static(path):
            self._reads.note(path)
        else:
            self._lines.add(reported(path))


def number_of(operand: Operand) -> int:
    """The number of a local; -1 of a literal, which no local has."""
    return operand.number if isinstance(operand, Local) else -1


def not_false(statement: Statement | None, number: int) -> bool:
    """Whether a statement asks no more of a local than that it is not false."""
    return isinstance(statement, NotEqual) and statement.a == Local(number) and statement.b == Constant(False)
