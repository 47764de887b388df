"""What is wrong with modules, found in their source: whatever `opa check` refuses, less faults of type. Modules that
pass have a meaning; no front end and no verifier has to guess at one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain

from policy.problem import PolicyError, Problem
from policy.rego.check.annotations import misannotated
from policy.rego.check.builtins import LANGUAGE, Known
from policy.rego.check.calls import calls
from policy.rego.check.conflicts import conflicts
from policy.rego.check.index import Index
from policy.rego.check.names import resolve
from policy.rego.check.recursion import recursion
from policy.rego.check.safety import unsafe
from policy.rego.syntax import Malformed, Unsupported, parse
from policy.rego.syntax.tree import Module, Rule, place

OTHERWISE = " is not read by the embedded front end: write it another way, or let OPA plan (policy.frontend: opa)"
Found = Iterator[tuple[Module, int, str]]


def checked(sources: Mapping[str, str], builtins: Mapping[str, int], refused: Mapping[str, str]) -> list[Module]:
    """Modules, by file name, read and checked. `builtins` are the arities of those that there are, `refused` says why
    there are not others. Raises PolicyError: everything that is wrong of the first kind of which anything is.
    """
    try:
        modules = _read(sources)
        known = Known({**LANGUAGE, **builtins}, {name: why for name, why in refused.items() if name not in builtins})
        if problems := _problems(modules, known):
            raise PolicyError(problems)
    except RecursionError as error:
        raise PolicyError(
            [Problem(next(iter(sources), ""), 0, 0, "this is nested too deeply: give parts of it names")]
        ) from error
    return modules


def _read(sources: Mapping[str, str]) -> list[Module]:
    modules, problems = [], []
    for file, text in sources.items():
        try:
            modules.append(parse(file, text))
        except Unsupported as error:
            problems.append(Problem(file, *place(text, error.start), f"{error}{OTHERWISE}"))
        except Malformed as error:
            problems.append(Problem(file, *place(text, error.start), str(error)))
    if problems:
        raise PolicyError(sorted(problems))
    return modules


def _problems(modules: Collection[Module], known: Known) -> list[Problem]:
    index = Index(modules)
    steps: tuple[Callable[[], Found], ...] = (
        lambda: chain.from_iterable(misannotated(module) for module in modules),
        lambda: resolve(modules, known.names),
        lambda: conflicts(modules),
        lambda: _each(modules, lambda rule: calls(rule, index, known)),
        lambda: recursion(index),
        lambda: _each(modules, lambda rule: unsafe(rule, lambda term: known.arity(term, index))),
    )
    for step in steps:
        if problems := {Problem(*module.place(start), message) for module, start, message in step()}:
            return sorted(problems)
    return []


def _each(modules: Collection[Module], faults: Callable[[Rule], Iterator[tuple[int, str]]]) -> Found:
    for module in modules:
        for rule in module.rules:
            for branch in rule.branches():
                yield from ((module, start, message) for start, message in faults(branch))
