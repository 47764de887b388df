"""OPA's own benchmark policies, made by OPA's own generators, which a small Go program calls."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from bench.decisions.case import Case
from bench.result import CannotRun

_PEERS = Path(__file__).parents[2] / ".peers"
_SOURCE = Path(__file__).parent / "opa_own"


def cases() -> list[Case]:
    """One case each. Raises CannotRun where there is no Go to build the program with."""
    done = subprocess.run([_program()], capture_output=True, check=True)
    return [_case(json.loads(line)) for line in done.stdout.splitlines()]


def _case(said: dict[str, Any]) -> Case:
    modules = {f"m{index}.rego": text for index, text in enumerate(said["modules"])}
    return Case(said["name"], modules, said["data"], said["entrypoint"], [said["input"]])


def _program() -> Path:
    program = _PEERS / "bin" / "opa-benchmarks"
    if not program.is_file():
        go = shutil.which("go") or shutil.which("go", path=_PEERS / "go" / "bin")
        if go is None:
            raise CannotRun("needs go, to build bench/decisions/opa_own")
        subprocess.run([go, "build", "-o", str(program), "."], cwd=_SOURCE, check=True)
    return program
