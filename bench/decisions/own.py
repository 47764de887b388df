"""OPA's own benchmark policies, made by OPA's own generators, which a small Go program calls."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from bench.decisions.case import Case
from bench.go import built

_SOURCE = Path(__file__).parent / "opa_own"


def cases() -> list[Case]:
    """One case each. Raises CannotRun where there is no Go to build the program with."""
    done = subprocess.run([built("opa-benchmarks", _SOURCE)], capture_output=True, check=True)
    return [_case(json.loads(line)) for line in done.stdout.splitlines()]


def _case(said: dict[str, Any]) -> Case:
    modules = {f"m{index}.rego": text for index, text in enumerate(said["modules"])}
    return Case(said["name"], modules, said["data"], said["entrypoint"], [said["input"]])
