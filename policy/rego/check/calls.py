"""Calls of what is not there, or with another number of arguments; and `with` where it can replace nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy.rego.check.builtins import Known
from policy.rego.check.index import Index, is_data
from policy.rego.check.steps import VARIADIC
from policy.rego.check.walk import all_bodies, children, terms
from policy.rego.syntax.tree import Builtin, Call, Expr, Ref, Rule, Scalar, Term, Var, With

Fault = tuple[int, str]
_UNREPLACED = frozenset(("eq", "assign", "print", "walk", "rego.metadata.chain", "rego.metadata.rule"))


def calls(rule: Rule, index: Index, known: Known) -> Iterator[Fault]:
    """What is wrong with the calls in one branch of a rule."""
    reader = _Calls(index, known)
    for body in all_bodies(rule):
        for one in body:
            yield from reader.expression(one)
    for term in rule.head.terms():
        yield from reader.value(term)


class _Calls:
    def __init__(self, index: Index, known: Known):
        self._index = index
        self._known = known

    def expression(self, one: Expr) -> Iterator[Fault]:
        """Faults right in an expression, less those of bodies in it."""
        for replaced in one.withs:
            yield from self._with(replaced)
            yield from () if self._arity(replaced.value) is not None else self.value(replaced.value)
        if isinstance(one.what, Call):
            yield from self._call(one.what, result=1)  # its last argument may take the result
            for term in one.what.arguments:
                yield from self.value(term)
        else:
            for term in terms(Expr(one.start, one.what)):
                yield from self.value(term)

    def value(self, term: Term) -> Iterator[Fault]:
        """Faults in a term that stands for a value."""
        if isinstance(term, Call):
            yield from self._call(term, result=0)
            for one in term.arguments:
                yield from self.value(one)
            return
        if isinstance(term, Ref) and is_data(term):
            yield from self._uncalled(term)
        for one in children(term):
            yield from self.value(one)

    def _call(self, call: Call, result: int) -> Iterator[Fault]:
        name, given = _name(call.function), len(call.arguments)
        if isinstance(call.function, Builtin) and (reason := self._known.refusal(name)):
            yield call.start, reason
            return
        if name == VARIADIC:
            if not result:
                yield call.start, "print has no value: write it on a line of its own"
            return
        wanted = self._arity(call.function)
        if wanted is None:
            entry = self._index.exact(call.function) if isinstance(call.function, Ref) else None
            what = "is no function, and takes no arguments" if entry else "is not there"
            yield call.start, f"unknown function {name}: {what}; look at its spelling, or import it"
        elif not wanted <= given <= wanted + result:
            yield call.start, f"{name} takes {_counted(wanted)}, not {given}"

    def _arity(self, function: Term) -> int | None:
        return self._known.arity(function, self._index)

    def _uncalled(self, ref: Ref) -> Iterator[Fault]:
        for length in range(1, len(ref.parts) + 1):
            entry = self._index.exact(Ref(ref.start, ref.head, ref.parts[:length]))
            if entry and entry.arity is not None:
                yield ref.start, f"{entry.title} is a function and has no value: call it"

    # --- with -----------------------------------------------------------------------------------

    def _with(self, one: With) -> Iterator[Fault]:
        target = one.target
        match target:
            case Ref(head=Var(name="input")):
                return
            case Ref() if is_data(target):
                yield from self._with_data(one, target)
            case Builtin(name=name) if name in _UNREPLACED or name.startswith("internal."):
                yield one.start, f"{name} cannot be replaced"
            case Builtin():
                yield from self._with_function(one)
            case _:
                yield one.start, "`with` replaces `input`, `data`, a path below them, or a function; this is none"

    def _with_data(self, one: With, target: Ref) -> Iterator[Fault]:
        for length in range(1, len(target.parts)):
            above = self._index.exact(Ref(target.start, target.head, target.parts[:length]))
            if above:
                yield one.start, f"`with` cannot replace a part of {above.title}: replace all of it"
                return
        if self._arity(target) is not None:
            yield from self._with_function(one)

    def _with_function(self, one: With) -> Iterator[Fault]:
        given, wanted = self._arity(one.value), self._arity(one.target)
        if given is not None and wanted is not None and given != wanted:
            yield one.start, f"{_name(one.target)} takes {_counted(wanted)}, and {_name(one.value)} {given}"


def _name(function: Term) -> str:
    match function:
        case Builtin(name=name) | Var(name=name):
            return name.partition("$")[0]
        case Ref(head=Var(name=name), parts=parts):
            return ".".join((name, *(str(one.value) if isinstance(one, Scalar) else "[…]" for one in parts)))
    return "this"


def _counted(arguments: int) -> str:
    return "1 argument" if arguments == 1 else f"{arguments} arguments"
