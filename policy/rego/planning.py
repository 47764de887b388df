"""Modules become a plan: regopy's child process reads them; what it finds wrong is told by file, line and column."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policy.problem import PolicyError, Problem
from policy.rego.decode import InvalidPlan, UnsupportedStatement, read_plan
from policy.rego.plan import Plan

FRONT = Path(__file__).with_name("front.py")
FRONT_SECONDS = 30.0  # longest that the front end may take
_ERROR = re.compile(
    r"\(error(?: (?:\d+:(?P<file>[^|]*))?\|(?P<offset>\d+)\|\d+)?\s+\(errormsg \d+:(?P<message>[^\n]*)\)\n"
)


def planned(sources: Mapping[str, str], entrypoints: Sequence[str]) -> Plan:
    """Plan Rego modules, by file name; not verified. Raises PolicyError."""
    names = {f"m{index}.rego": name for index, name in enumerate(sources)}  # regopy keeps only the last part of a name
    answer = _front({short: sources[name] for short, name in names.items()}, entrypoints)
    if "error" in answer:
        raise PolicyError(_problems(answer["error"], names, sources))
    try:
        plan = read_plan(answer["plan"], "regopy")
    except UnsupportedStatement as error:
        file = list(sources)[error.at.file] if sources else ""
        raise PolicyError([Problem(file, error.at.line, error.at.column, str(error))]) from error
    except InvalidPlan as error:
        raise PolicyError([Problem("", 0, 0, str(error))]) from error
    return Plan(
        plan.functions, plan.queries, plan.builtins, tuple(names.get(file, file) for file in plan.files), plan.dialect
    )


def _front(modules: Mapping[str, str], entrypoints: Sequence[str]) -> dict[str, Any]:
    request = json.dumps({"modules": modules, "entrypoints": list(entrypoints)}).encode()
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(FRONT)], input=request, capture_output=True, timeout=FRONT_SECONDS, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"the front end took more than {FRONT_SECONDS:.0f} s"}
    except (subprocess.CalledProcessError, ValueError) as error:
        return {"error": f"the front end broke off: {_last_words(error)}"}
    return answer


def _last_words(error: Exception) -> str:
    said = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else ""
    lines = said.strip().splitlines()
    return lines[-1][:300] if lines else str(error)


def _problems(text: str, names: Mapping[str, str], sources: Mapping[str, str]) -> list[Problem]:
    """rego-cpp's description: places are bytes from the start of the module."""
    found = {
        _problem(names.get(one["file"] or "", ""), int(one["offset"] or 0), one["message"], sources)
        for one in _ERROR.finditer(text)
    }
    return sorted(found) or [Problem(next(iter(sources), ""), 0, 0, " ".join(text.split())[:500])]


def _problem(file: str, offset: int, message: str, sources: Mapping[str, str]) -> Problem:
    if not file:
        return Problem("", 0, 0, message)
    before = sources.get(file, "").encode()[:offset].decode(errors="replace")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return Problem(file, line, column, message)
