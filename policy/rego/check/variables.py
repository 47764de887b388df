"""What a step names itself, and the bodies inside it."""

from __future__ import annotations

from collections.abc import Iterator

from policy.rego.check.steps import MADE
from policy.rego.check.walk import ROOTS, children, terms
from policy.rego.syntax.tree import Absent, Call, Comprehension, Every, Expr, Ref, Template, Term, Var


def term_variables(term: Term) -> Iterator[Var]:
    """Variables that a term needs itself, less those of bodies in it and the names of functions."""
    match term:
        case Var(name=name):
            yield from () if name in ROOTS else (term,)
        case Call(arguments=arguments):
            for one in arguments:
                yield from term_variables(one)
        case Comprehension():
            return
        case Template(parts=parts):  # all that it names needs a value before it, also what else a body would look up
            inner = [step for part in parts for body, _ in inner_bodies(part) for step in body]
            for step in inner:
                yield from (Var(start, name) for name, start in step_variables(step).items() if MADE not in name)
        case _:
            for one in children(term):
                yield from term_variables(one)


def step_variables(step: Expr) -> dict[str, int]:
    """What a step names, and where first."""
    found = [*_own_variables(step), *with_variables(step)]
    return {var.name: var.start for var in reversed(found)}


def _own_variables(step: Expr) -> Iterator[Var]:
    match step.what:
        case Every(domain=domain):
            yield from term_variables(domain)
        case Absent(body=body):
            names = [pair for one in body for pair in step_variables(one).items()]
            yield from (Var(start, name) for name, start in names if MADE not in name)
        case _:
            for term in terms(Expr(step.start, step.what)):
                yield from term_variables(term)


def with_variables(step: Expr) -> Iterator[Var]:
    """What `with` at a step names: what it puts in place, and what stands in brackets in what it replaces."""
    for one in step.withs:
        target = one.target.parts if isinstance(one.target, Ref) else ()
        for term in (*target, one.value):
            yield from term_variables(term)


def inner_bodies(step: Expr) -> Iterator[tuple[list[Expr], list[Term]]]:
    """Bodies right inside a step, and what each collects."""
    if isinstance(step.what, (Every, Absent)):
        yield step.what.body, []
    for term in terms(step):
        yield from _bodies(term)


def _bodies(term: Term) -> Iterator[tuple[list[Expr], list[Term]]]:
    match term:
        case Comprehension(head=head, body=body):
            yield body, head
        case Template(parts=parts):
            for step in parts:
                yield from inner_bodies(step)
        case _:
            for one in children(term):
                yield from _bodies(one)
