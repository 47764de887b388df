"""Variables that nothing gives a value. A body may be evaluated in any order in which each step has what it needs; a
variable is unsafe where there is no such order. See "Safety" in OPA's policy language; the rules are OPA's, with one
difference: beside a comprehension in a call, too, the call's other variables need values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from policy.rego.check.steps import MADE, Steps
from policy.rego.check.unify import is_safe, unified
from policy.rego.check.walk import ROOTS, children, inside, inside_body, pattern, terms
from policy.rego.syntax.tree import Assign, Call, Comprehension, Every, Expr, Ref, Rule, Template, Term, Unify, Var

Arity = Callable[[Term], int | None]
Unsafe = dict[Expr, dict[str, int]]  # what each step lacks, and where it names it


def unsafe(rule: Rule, arity: Arity) -> Iterator[tuple[int, str]]:
    """Unsafe variables of one branch of a rule, whose names are resolved; it is changed into steps."""
    arguments = {var.name for term in rule.head.arguments or () for var in _variables(term)}
    computed = (one for term in rule.head.arguments or () for one in inside(term) if isinstance(one, Comprehension))
    body = Steps().body(rule.body, [*computed, *rule.head.terms()])
    found = _Safety(arity).body(body, arguments)
    named = {name: start for lacks in reversed(found.values()) for name, start in lacks.items() if MADE not in name}
    for name, start in named.items():
        yield start, f"unsafe variable {shown(name)}: nothing gives it a value; is it misspelt, or not imported?"
    if found and not named:
        yield min(step.start for step in found), "unsafe expression: nothing gives a value to all that it needs"


def shown(name: str) -> str:
    """A variable's name as its author wrote it."""
    return "_" if name.endswith("$") else name.partition("$")[0]


class _Safety:
    def __init__(self, arity: Arity):
        self._arity = arity

    def body(self, body: list[Expr], known: set[str]) -> Unsafe:
        """What the steps of a body lack, in any order. `known` have values before it."""
        ordered, lacking = self._order(body, known)
        known = set(known)
        for step in ordered:
            for inner in _inner_bodies(step):
                lacking |= self.body(inner, known | _bound(step))
            known |= _step_variables(step).keys()
        return lacking

    def _order(self, body: list[Expr], known: set[str]) -> tuple[list[Expr], Unsafe]:
        """The steps that can be taken, in an order in which they can, and what the others lack."""
        needs = {step: _step_variables(step) for step in body}
        here = {name for names in needs.values() for name in names}
        enclosed = {step: _enclosed(step, here - known) for step in body}
        safe = here & known
        ordered: list[Expr] = []
        waiting = body
        while waiting:
            left = []
            for step in waiting:
                gives = self._gives(step, safe)
                if self._ready(needs[step], enclosed[step], gives, safe):
                    ordered.append(step)
                    safe |= gives
                else:
                    left.append(step)
            if len(left) == len(waiting):
                break
            waiting = left
        return ordered, {step: self._lacks(step, needs[step] | enclosed[step], safe) for step in waiting}

    def _ready(self, needs: dict[str, int], enclosed: dict[str, int], gives: set[str], safe: set[str]) -> bool:
        captured = enclosed.keys() - safe
        if captured and captured == gives:
            return False  # its own comprehension needs what only the step as a whole would give
        return not (needs.keys() | captured) - gives - safe

    def _lacks(self, step: Expr, needs: dict[str, int], safe: set[str]) -> dict[str, int]:
        missing = {name: start for name, start in needs.items() if name not in safe}
        return {name: start for name, start in missing.items() if name not in self._gives(step, safe)} or missing

    # --- What a step gives values to ----------------------------------------------------------------

    def _gives(self, step: Expr, safe: set[str]) -> set[str]:
        if step.negated or any(var.name not in safe for var in _with_variables(step)):
            return set()
        match step.what:
            case Template() | Comprehension():
                return set()
            case Assign(left=left, right=right):
                found = _looked_up((left, right), safe)
                hidden = {var.name for var in _variables(left)}
                return found | unified((safe | found) - hidden, left, right) - safe
            case Unify(left=left, right=right):
                found = _looked_up((left, right), safe)
                return found | unified(safe | found, left, right) - safe
            case Every(domain=domain):
                return _looked_up((domain,), safe)
            case Call():
                return self._call(step.what, safe)
            case term:
                return _looked_up((term,), safe)  # type: ignore[arg-type]

    def _call(self, call: Call, safe: set[str]) -> set[str]:
        """A call gives nothing but its result, which its last argument may take."""
        arity = self._arity(call.function)
        found = _looked_up(call.arguments, safe)
        if arity is None or len(call.arguments) == arity:
            return found
        wanted = {var.name for term in call.arguments[:arity] for var in pattern(term)}
        return set() if wanted - found - safe else found | {var.name for var in pattern(call.arguments[arity])}


def _looked_up(found: Iterable[Term], safe: set[str]) -> set[str]:
    """Variables in brackets: they range over what a reference holds, if it is known where that begins."""
    names: set[str] = set()
    for term in found:
        if isinstance(term, (Comprehension, Template)):
            continue
        if isinstance(term, Ref):
            if not is_safe(term, safe):
                continue
            names |= {var.name for part in term.parts for var in pattern(part)}
        names |= _looked_up(children(term), safe)
    return names


def _variables(term: Term) -> Iterator[Var]:
    """Variables that a term needs itself, less those of bodies in it and the names of functions."""
    match term:
        case Var(name=name):
            yield from () if name in ROOTS else (term,)
        case Call(arguments=arguments):
            for one in arguments:
                yield from _variables(one)
        case Comprehension():
            return
        case Template(parts=parts):
            for step in parts:
                yield from (Var(start, name) for name, start in _step_variables(step).items() if MADE not in name)
        case _:
            for one in children(term):
                yield from _variables(one)


def _step_variables(step: Expr) -> dict[str, int]:
    """What a step names, and where first."""
    what = (step.what.domain,) if isinstance(step.what, Every) else tuple(terms(Expr(step.start, step.what)))
    found = [*(var for term in what for var in _variables(term)), *_with_variables(step)]
    return {var.name: var.start for var in reversed(found)}


def _with_variables(step: Expr) -> Iterator[Var]:
    for one in step.withs:
        target = one.target.parts if isinstance(one.target, Ref) else ()
        for term in (*target, one.value):
            yield from _variables(term)


def _enclosed(step: Expr, names: set[str]) -> dict[str, int]:
    """Variables of this body that bodies inside a step name."""
    found = [var for body in _inner_bodies(step) for var in inside_body(body) if isinstance(var, Var)]
    return {var.name: var.start for var in reversed(found) if var.name in names}


def _inner_bodies(step: Expr) -> Iterator[list[Expr]]:
    if isinstance(step.what, Every):
        yield step.what.body
    for term in terms(step):
        yield from _bodies(term)


def _bodies(term: Term) -> Iterator[list[Expr]]:
    match term:
        case Comprehension(body=body):
            yield body
        case Template(parts=parts):
            for step in parts:
                yield from _inner_bodies(step)
        case _:
            for one in children(term):
                yield from _bodies(one)


def _bound(step: Expr) -> set[str]:
    """What `every` gives values to, in its own body."""
    return {one.name for one in (step.what.key, step.what.value) if one} if isinstance(step.what, Every) else set()
