"""Modules become a plan, by one of two front ends: regopy, which needs nothing but Python, and OPA's own.

regopy takes policies that have no meaning, dies of some that have one, and understands some otherwise than OPA. So
modules are read and checked here first (policy/rego/check); it is given a normal form of them (policy/rego/normal.py),
in which it does as OPA does:

- each name is whole: no import, and no local that is called like a package, is taken for another;
- the steps of a body stand in the order in which OPA takes them;
- what is called under `not`, and what `with` puts in place, is evaluated before: regopy would hold `not f(input.x)`
  true where there is no x, and drop a `with` whose value is a reference;
- comprehensions, `every`, `some … in`, template texts and results in a last argument have the one form that it reads.

What its plans still mean otherwise is bridged when they are read (policy/rego/bridges.py), and what it makes of a
policy is verified (policy/rego/verify.py). OPA checks by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from policy.opa_check import opa_check
from policy.problem import PolicyError, Problem
from policy.rego.builtins import ARITIES
from policy.rego.builtins.outside import REFUSED
from policy.rego.check import checked
from policy.rego.decode import InvalidPlan, UnsupportedStatement, read_plan
from policy.rego.opa_build import Unplanned, opa_plan
from policy.rego.plan import DATA, INPUT, Function, Plan
from policy.rego.regopy_build import regopy_plan
from policy.rego.syntax import package


def planned(
    sources: Mapping[str, str],
    entrypoints: Sequence[str],
    *,
    builtins: Mapping[str, int] = ARITIES,
    opa: Path | None = None,
) -> Plan:
    """Plan Rego modules, by file name: by OPA if its binary is given, otherwise by regopy. The plan has all their rules
    and is not verified. `builtins` are the arities of those that there are. Raises PolicyError.
    """
    try:
        plan = _by_opa(opa, sources, entrypoints) if opa else _by_regopy(sources, entrypoints, builtins)
    except UnsupportedStatement as error:
        raise PolicyError([Problem("", error.at.line, error.at.column, str(error))]) from error
    except InvalidPlan as error:
        raise PolicyError([Problem("", 0, 0, str(error))]) from error
    queries = {name: plan.queries.get(name) or Function(name, (), (INPUT, DATA), ()) for name in entrypoints}
    return Plan(plan.functions, queries, plan.builtins, plan.files, plan.dialect)


def _by_regopy(sources: Mapping[str, str], entrypoints: Sequence[str], builtins: Mapping[str, int]) -> Plan:
    return read_plan(regopy_plan(checked(sources, builtins, REFUSED), entrypoints), "regopy")


def _by_opa(opa: Path, sources: Mapping[str, str], entrypoints: Sequence[str]) -> Plan:
    names = {f"m{index}.rego": name for index, name in enumerate(sources)}  # no name of ours meets a command line
    modules = {short: sources[name] for short, name in names.items()}
    packages = {found for source in sources.values() if (found := package(source))}
    try:
        plan = read_plan(opa_plan(opa, modules, entrypoints, packages), "opa")
    except Unplanned as error:
        problems = opa_check(opa, sources) or [Problem(next(iter(sources), ""), 0, 0, str(error))]
        raise PolicyError(problems) from error
    files = tuple(names.get(file, file) for file in plan.files)
    return Plan(plan.functions, plan.queries, plan.builtins, files, plan.dialect)
