"""Ways through a tree."""

from __future__ import annotations

from collections.abc import Iterator

from policy.rego.syntax.tree import (
    Absent,
    Array,
    Assign,
    Call,
    Comprehension,
    Every,
    Expr,
    Object,
    Ref,
    Rule,
    Set,
    Some,
    SomeIn,
    Template,
    Term,
    Unify,
    Var,
)

ROOTS = frozenset(("input", "data"))  # variables that always have a value


def children(term: Term) -> Iterator[Term]:
    """The terms right inside a term, less those of bodies."""
    match term:
        case Ref(head=head, parts=parts):
            yield head
            yield from parts
        case Call(function=function, arguments=arguments):
            yield function
            yield from arguments
        case Array(items=items) | Set(items=items):
            yield from items
        case Object(pairs=pairs):
            for pair in pairs:
                yield from pair
        case Comprehension(head=head_terms):
            yield from head_terms


def closures(term: Term) -> Iterator[list[Expr]]:
    """The bodies right inside a term."""
    match term:
        case Comprehension(body=body):
            yield body
        case Template(parts=parts):
            yield parts


def terms(one: Expr) -> Iterator[Term]:
    """The terms right inside an expression, less those of bodies."""
    match one.what:
        case Assign(left=left, right=right) | Unify(left=left, right=right):
            yield from (left, right)
        case Some(names=names):
            yield from names
        case SomeIn(key=key, value=value, domain=domain) | Every(key=key, value=value, domain=domain):
            yield from (found for found in (key, value, domain) if found)
        case Absent():
            pass
        case what:
            yield what
    for replaced in one.withs:
        yield from (replaced.target, replaced.value)


def inside(term: Term) -> Iterator[Term]:
    """A term and all terms in it, also those of bodies."""
    yield term
    for one in children(term):
        yield from inside(one)
    for body in closures(term):
        yield from inside_body(body)


def inside_body(body: list[Expr]) -> Iterator[Term]:
    """All terms in a body."""
    for one in expressions(body):
        for term in terms(one):
            yield from inside(term)


def expressions(body: list[Expr]) -> Iterator[Expr]:
    """Expressions of a body and of each `every` in it, less those of comprehensions."""
    for one in body:
        yield one
        if isinstance(one.what, (Every, Absent)):
            yield from expressions(one.what.body)


def all_bodies(rule: Rule) -> Iterator[list[Expr]]:
    """Every body of a rule, those of comprehensions and of `every` too; less those of its other branches."""
    for term in rule.head.terms():
        yield from _bodies(term)
    yield from _with_inner(rule.body)


def _with_inner(body: list[Expr]) -> Iterator[list[Expr]]:
    yield body
    for one in body:
        if isinstance(one.what, Every):
            yield from _with_inner(one.what.body)
        for term in terms(one):
            yield from _bodies(term)


def _bodies(term: Term) -> Iterator[list[Expr]]:
    for body in closures(term):
        yield from _with_inner(body)
    for one in children(term):
        yield from _bodies(one)


def inside_rule(rule: Rule) -> Iterator[Term]:
    """All terms of a rule, less those of its other branches."""
    for term in (*(rule.head.arguments or ()), *rule.head.terms()):
        yield from inside(term)
    yield from inside_body(rule.body)


def variables(term: Term) -> Iterator[Var]:
    """All variables in a term, also those of bodies; less names of functions."""
    if isinstance(term, Var):
        yield term
    for one in term.arguments if isinstance(term, Call) else children(term):
        yield from variables(one)
    for body in closures(term):
        for expression in expressions(body):
            for one in terms(expression):
                yield from variables(one)


def pattern(term: Term) -> Iterator[Var]:
    """Variables that get values where a term is matched with a value."""
    match term:
        case Var():
            yield term
        case Array(items=items):
            for one in items:
                yield from pattern(one)
        case Object(pairs=pairs):
            for _, value in pairs:
                yield from pattern(value)
        case Ref(parts=parts):
            for one in parts:
                yield from pattern(one)


def declarations(body: list[Expr]) -> set[str]:
    """Names that a body declares."""
    found: set[str] = set()
    for one in expressions(body):
        match one.what:
            case Assign(left=left):
                found |= {var.name for var in variables(left)}
            case Some(names=names):
                found |= {var.name for var in names}
            case SomeIn(key=key, value=value):
                found |= {var.name for term in (key, value) if term for var in variables(term)}
    return found
