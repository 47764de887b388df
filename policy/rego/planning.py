"""Modules become a plan, by one of two front ends: regopy, which needs nothing but Python, and OPA's own.

regopy takes policies that have no meaning, and some that have one take it down. So the modules are read and checked
here first (policy/rego/check), and what it makes of them is verified after (policy/rego/verify.py). Where its plan
means something else than OPA's, see policy/rego/bridges.py. OPA checks by itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policy.opa_check import opa_check
from policy.problem import PolicyError, Problem
from policy.rego.builtins import ARITIES
from policy.rego.builtins.outside import REFUSED
from policy.rego.check import checked
from policy.rego.decode import InvalidPlan, UnsupportedStatement, read_plan
from policy.rego.opa_build import Unplanned, opa_plan
from policy.rego.plan import DATA, INPUT, Dialect, Function, Plan
from policy.rego.syntax import package
from policy.rego.syntax.tree import place

Document = dict[str, Any]

FRONT = Path(__file__).with_name("front.py")
FRONT_SECONDS = 30.0  # longest that regopy may take
_ERROR = re.compile(
    r"\(error(?: (?:\d+:(?P<file>[^|]*))?\|(?P<offset>\d+)\|\d+)?\s+\(errormsg \d+:(?P<message>[^\n]*)\)\n"
)
_OTHERWISE = "; regopy cannot read this form: write it another way, or let OPA plan (policy.frontend: opa)"


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
    names = {f"m{index}.rego": name for index, name in enumerate(sources)}  # front ends see nothing of ours
    modules = {short: sources[name] for short, name in names.items()}
    if opa:
        return _read(_by_opa(opa, modules, names, entrypoints), "opa", names, entrypoints)
    checked(sources, builtins, REFUSED)
    return _read(_by_regopy(modules, names, entrypoints), "regopy", names, entrypoints)


def _read(document: Document, dialect: Dialect, names: Mapping[str, str], entrypoints: Sequence[str]) -> Plan:
    try:
        plan = read_plan(document, dialect)
    except UnsupportedStatement as error:
        file = [*names.values()][error.at.file] if names else ""
        raise PolicyError([Problem(file, error.at.line, error.at.column, str(error))]) from error
    except InvalidPlan as error:
        raise PolicyError([Problem("", 0, 0, str(error))]) from error
    queries = {name: plan.queries.get(name) or Function(name, (), (INPUT, DATA), ()) for name in entrypoints}
    files = tuple(names.get(file, file) for file in plan.files)
    return Plan(plan.functions, queries, plan.builtins, files, plan.dialect)


def _by_opa(opa: Path, modules: Mapping[str, str], names: Mapping[str, str], entrypoints: Sequence[str]) -> Document:
    packages = {found for source in modules.values() if (found := package(source))}
    try:
        return opa_plan(opa, modules, entrypoints, packages)
    except Unplanned as error:
        problems = opa_check(opa, {names[short]: source for short, source in modules.items()})
        raise PolicyError(problems or [Problem(next(iter(names.values()), ""), 0, 0, str(error))]) from error


def _by_regopy(modules: Mapping[str, str], names: Mapping[str, str], entrypoints: Sequence[str]) -> Document:
    answer = _front(modules, entrypoints)
    if "error" in answer:
        raise PolicyError(_problems(answer["error"], modules, names))
    found: Document = answer["plan"]
    return found


def _front(modules: Mapping[str, str], entrypoints: Sequence[str]) -> Document:
    request = json.dumps({"modules": modules, "entrypoints": list(entrypoints)}).encode()
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(FRONT)], input=request, capture_output=True, timeout=FRONT_SECONDS, check=True
        )
        answer: Document = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"the front end took more than {FRONT_SECONDS:g} s"}
    except (subprocess.CalledProcessError, ValueError) as error:
        return {"error": f"the front end broke off: {_last_words(error)}"}
    return answer


def _last_words(error: Exception) -> str:
    said = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else ""
    lines = said.strip().splitlines()
    return lines[-1][:300] if lines else str(error)


def _problems(text: str, modules: Mapping[str, str], names: Mapping[str, str]) -> list[Problem]:
    """rego-cpp's description: places are bytes from the start of the module."""
    found = {
        _problem(one["file"] or "", int(one["offset"] or 0), one["message"], modules, names)
        for one in _ERROR.finditer(text)
    }
    message = " ".join(text.split())[:500] + _OTHERWISE
    return sorted(found) or [Problem(next(iter(names.values()), ""), 0, 0, message)]


def _problem(short: str, offset: int, message: str, modules: Mapping[str, str], names: Mapping[str, str]) -> Problem:
    if short not in modules:
        return Problem("", 0, 0, message + _OTHERWISE)
    before = len(modules[short].encode()[:offset].decode(errors="replace"))
    return Problem(names[short], *place(modules[short], before), message + _OTHERWISE)
