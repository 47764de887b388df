"""regopy as a front end, in a child process with a deadline: it takes its process down on some policies, and goes round
in circles on others. It is given modules in a normal form (policy/rego/normal.py), and what it says of them is brought
back to the author's lines.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy.problem import PolicyError, Problem
from policy.rego.normal import normal_form
from policy.rego.syntax.tree import Module

FRONT = Path(__file__).with_name("front.py")
FRONT_SECONDS = 30.0  # longest that regopy may take
_ERROR = re.compile(
    r"\(error(?: (?:\d+:(?P<file>[^|]*))?\|(?P<offset>\d+)\|\d+)?\s+\(errormsg \d+:(?P<message>[^\n]*)\)\n"
)
_OTHERWISE = "; regopy cannot plan this: write it another way, or let OPA plan (policy.frontend: opa)"


@dataclass(frozen=True)
class Normal:
    """A module in its normal form."""

    module: Module
    text: str
    starts: Sequence[int]  # of each line: where in the module it comes from

    def place(self, row: int) -> tuple[str, int, int]:
        """File, line and column of what a row, counted from 0, comes from."""
        return self.module.place(self.starts[min(row, len(self.starts) - 1)])


def normal_forms(modules: Sequence[Module]) -> dict[str, Normal]:
    """Checked modules as regopy shall see them, by file name; it keeps only the last part of one. Uses them up."""
    return {f"m{index}.rego": Normal(module, *normal_form(module)) for index, module in enumerate(modules)}


def regopy_plan(modules: Sequence[Module], entrypoints: Sequence[str]) -> dict[str, Any]:
    """`plan.json` of checked modules. Raises PolicyError."""
    normal = normal_forms(modules)
    answer = _front({name: one.text for name, one in normal.items()}, entrypoints)
    if "error" in answer:
        raise PolicyError(_problems(answer["error"], normal))
    found: dict[str, Any] = answer["plan"]
    relocate(found, normal)
    return found


def relocate(plan: dict[str, Any], normal: Mapping[str, Normal]) -> None:
    """Let a plan name the modules' own files and places. Rows and columns count from 0 in it."""
    files = [normal[one["value"]] for one in plan["static"]["files"]]
    for one in _placed(plan):
        _, line, column = files[one["file"]].place(one["row"])
        one["row"], one["col"] = line - 1, column - 1
    plan["static"]["files"] = [{"value": one.module.file} for one in files]


def _placed(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting: list[Any] = [plan]
    while waiting:
        held = waiting.pop()
        if isinstance(held, dict):
            if "row" in held and "file" in held:
                yield held
            waiting.extend(held.values())
        elif isinstance(held, list):
            waiting.extend(held)


def _front(modules: Mapping[str, str], entrypoints: Sequence[str]) -> dict[str, Any]:
    request = json.dumps({"modules": modules, "entrypoints": list(entrypoints)}).encode()
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(FRONT)], input=request, capture_output=True, timeout=FRONT_SECONDS, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"the front end took more than {FRONT_SECONDS:g} s"}
    except (subprocess.CalledProcessError, ValueError) as error:
        return {"error": f"the front end broke off: {_last_words(error)}"}
    return answer


def _last_words(error: Exception) -> str:
    said = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else ""
    lines = said.strip().splitlines()
    return lines[-1][:300] if lines else str(error)


def _problems(text: str, normal: Mapping[str, Normal]) -> list[Problem]:
    """rego-cpp's description: places are bytes from the start of the module."""
    found = {
        Problem(*_place(normal[one["file"]], int(one["offset"])), one["message"] + _OTHERWISE)
        for one in _ERROR.finditer(text)
        if one["file"] in normal
    }
    first = next((one.module.file for one in normal.values()), "")
    return sorted(found) or [Problem(first, 0, 0, " ".join(text.split())[:500] + _OTHERWISE)]


def _place(one: Normal, offset: int) -> tuple[str, int, int]:
    ends = [at for at, byte in enumerate(one.text.encode()) if byte == ord("\n")]
    return one.place(bisect_right(ends, offset))
