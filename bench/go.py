"""Peers in Go whose sources lie here, built when they are needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.result import CannotRun

_PEERS = Path(__file__).parents[1] / ".peers"


def built(name: str, source: Path) -> Path:
    """The program of the Go module in `source`; Go's own cache makes it quick. Without Go, one that was built before.

    Raises CannotRun.
    """
    program = _PEERS / "bin" / name
    go = shutil.which("go") or shutil.which("go", path=_PEERS / "go" / "bin")
    if go is None and not program.is_file():
        raise CannotRun(f"needs go, to build {name}")
    if go is not None:
        command = [go, "build", "-o", str(program), "."]
        done = subprocess.run(command, cwd=source, check=False, env=os.environ | {"CGO_ENABLED": "0"})
        if done.returncode:
            raise CannotRun(f"{name} could not be built")
    return program
