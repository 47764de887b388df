"""`opa check`: OPA's own compiler looks at a bundle too, where there is an OPA. It alone finds faults of type."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy.problem import Problem

CHECK_SECONDS = 30.0
_PEER = Path(__file__).parents[1] / ".peers" / "bin" / "opa"


def find_opa() -> Path | None:
    """OPA's binary: on PATH, or where `make peers` puts it."""
    found = shutil.which("opa")
    if found:
        return Path(found)
    return _PEER if _PEER.is_file() else None


def opa_check(opa: Path, sources: Mapping[str, str]) -> list[Problem]:
    """What OPA finds wrong with modules, by file name. Blocks for some 100 ms: call it in a thread."""
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        for index, (name, source) in enumerate(sources.items()):
            file = Path(folder, f"m{index}.rego")
            file.write_text(source, encoding="utf-8")
            names[str(file)] = name
        try:
            done = subprocess.run(
                [str(opa), "check", "--format", "json", folder],
                capture_output=True,
                timeout=CHECK_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return [Problem("", 0, 0, f"opa check did not run: {error}")]
    return [] if done.returncode == 0 else _found(done.stderr or done.stdout, names)


def _found(output: bytes, names: Mapping[str, str]) -> list[Problem]:
    try:
        errors: list[dict[str, Any]] = json.loads(output)["errors"]
    except (ValueError, KeyError, TypeError):
        return [Problem("", 0, 0, f"opa check: {output.decode(errors='replace').strip()[:500]}")]
    return sorted(_problem(error, names) for error in errors)


def _problem(error: Mapping[str, Any], names: Mapping[str, str]) -> Problem:
    place = error.get("location") or {}
    file = names.get(place.get("file", ""), place.get("file", ""))
    return Problem(file, place.get("row", 0), place.get("col", 0), f"opa check: {error.get('message', '')}")
