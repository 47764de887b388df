"""Variables that nothing gives a value. A body may be evaluated in any order in which each step has what it needs; a
variable is unsafe where there is no such order. See "Safety" in OPA's policy language; the rules are OPA's, with one
difference: beside a comprehension in a call, too, the call's other variables need values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from policy.rego.check.steps import MADE, Arity, Steps
from policy.rego.check.unify import is_safe, unified
from policy.rego.check.variables import inner_bodies, step_variables, term_variables, with_variables
from policy.rego.check.walk import children, inside, inside_body, pattern
from policy.rego.syntax.tree import Absent, Assign, Comprehension, Every, Expr, Ref, Rule, Template, Term, Unify, Var

Unsafe = dict[Expr, dict[str, int]]  # what each step lacks, and where it names it


def unsafe(rule: Rule, arity: Arity) -> Iterator[tuple[int, str]]:
    """Unsafe variables of one branch of a rule, whose names are resolved; its bodies become steps, in order."""
    Steps(arity).rule(rule)
    arguments = {var.name for term in rule.head.arguments or () for var in term_variables(term)}
    safety = _Safety()
    found = safety.body(rule.body, rule.head.terms(), arguments)
    named = {name: start for lacks in reversed(found.values()) for name, start in lacks.items() if MADE not in name}
    for name, start in named.items():
        yield start, f"unsafe variable {shown(name)}: nothing gives it a value; is it misspelt, or not imported?"
    if found and not named:
        yield min(step.start for step in found), "unsafe expression: nothing gives a value to all that it needs"


def shown(name: str) -> str:
    """A variable's name as its author wrote it."""
    return "_" if name.endswith("$") else name.partition("$")[0]


class _Safety:
    def body(self, body: list[Expr], collected: Iterable[Term], known: set[str]) -> Unsafe:
        """What the steps of a body lack, in any order, and what it collects. `known` have values before it."""
        ordered, lacking = self._order(body, known)
        known = set(known)
        for step in ordered:
            for inner, held in inner_bodies(step):
                lacking |= self.body(inner, held, known | _bound(step))
            known |= step_variables(step).keys()
        if not lacking:
            body[:] = ordered
            missing = [var for term in collected for var in term_variables(term) if var.name not in known]
            return {Expr(var.start, var): {var.name: var.start} for var in missing}
        return lacking

    def _order(self, body: list[Expr], known: set[str]) -> tuple[list[Expr], Unsafe]:
        """The steps that can be taken, in an order in which they can, and what the others lack."""
        needs = {step: step_variables(step) for step in body}
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
        if step.negated or isinstance(step.what, Absent) or any(var.name not in safe for var in with_variables(step)):
            return set()
        match step.what:
            case Comprehension():
                return set()
            case Assign(left=left, right=right):
                found = _looked_up((left, right), safe)
                hidden = {var.name for var in term_variables(left)}
                return found | unified((safe | found) - hidden, left, right) - safe
            case Unify(left=left, right=right):
                found = _looked_up((left, right), safe)
                return found | unified(safe | found, left, right) - safe
            case Every(domain=domain):
                return _looked_up((domain,), safe)
            case term:
                return _looked_up((term,), safe)  # type: ignore[arg-type]


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


def _enclosed(step: Expr, names: set[str]) -> dict[str, int]:
    """Variables of this body that bodies inside a step name."""
    found = [
        one
        for body, collected in inner_bodies(step)
        for one in chain(inside_body(body), *(inside(term) for term in collected))
        if isinstance(one, Var)
    ]
    return {var.name: var.start for var in reversed(found) if var.name in names}


def _bound(step: Expr) -> set[str]:
    """What `every` gives values to, in its own body."""
    return {one.name for one in (step.what.key, step.what.value) if one} if isinstance(step.what, Every) else set()
