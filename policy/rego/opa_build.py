"""OPA's own front end: `opa build -t plan`, in a child process and a folder of its own, with a deadline."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

BUILD_SECONDS = 30.0  # longest that OPA may take


class Unplanned(Exception):
    """OPA made no plan; says why, in OPA's words."""


def opa_plan(
    opa: Path, modules: Mapping[str, str], entrypoints: Sequence[str], packages: Collection[str]
) -> dict[str, Any]:
    """`plan.json` of modules, by file name. It has every rule of the packages, and a query for each entry point that
    there is. Raises Unplanned.
    """
    try:
        return _build(opa, modules, [*entrypoints, *packages])
    except Unplanned:
        everything = _build(opa, modules, packages)  # so it was an entry point that is not there
    there = [one for one in entrypoints if _is_in(everything, one)]
    return _build(opa, modules, [*there, *packages]) if there else everything


def _is_in(plan: Mapping[str, Any], entrypoint: str) -> bool:
    path = entrypoint.split("/")
    return any(one["path"][1 : len(path) + 1] == path for one in plan["funcs"].get("funcs") or ())


def _build(opa: Path, modules: Mapping[str, str], entrypoints: Collection[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for name, source in modules.items():
            Path(folder, name).write_text(source, encoding="utf-8")
        wanted = [part for one in sorted(set(entrypoints)) for part in ("--entrypoint", one)]
        command = [str(opa), "build", "--target", "plan", "--output", "bundle.tar.gz", *wanted, *modules]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=BUILD_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unplanned(f"opa build did not run: {error}") from error
        if done.returncode:
            raise Unplanned(done.stderr.decode(errors="replace").strip()[:500])
        return _plan(Path(folder, "bundle.tar.gz"))


def _plan(bundle: Path) -> dict[str, Any]:
    with tarfile.open(bundle) as archive:
        held = archive.extractfile("/plan.json")
        found: dict[str, Any] = json.load(held) if held else {}
    return found
