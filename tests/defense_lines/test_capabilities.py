"""Capabilities given up in children, as the kernel shows them in /proc/PID/status."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from defense_lines.agent import effective

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root (capabilities to give up)")
NET_ADMIN = 1 << 12


def status(program: str, *arguments: str) -> dict[str, str]:
    """Run a program in a child that prints its own /proc status at the end."""
    program += "\nprint(open('/proc/self/status').read())"
    child = subprocess.run([sys.executable, *arguments, "-c", program], capture_output=True, text=True, timeout=30)
    assert child.returncode == 0, child.stderr
    return dict(line.split(":\t", 1) for line in child.stdout.splitlines() if ":\t" in line)


def masks(found: dict[str, str]) -> dict[str, int]:
    return {name: int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


@needs_root
@pytest.mark.parametrize(("keep", "left"), [("Capability.NET_ADMIN", NET_ADMIN), ("", 0)])
def test_confine_leaves_nothing_else_in_any_set(keep: str, left: int) -> None:
    found = status(
        "from defense_lines.agent import Capability, confine\n"
        f"confine(frozenset({{{keep}}}))\n"
        "import pathlib, re\n"
        "masks = {re.search('CapEff:\\t(.*)', (task / 'status').read_text())[1]\n"
        "         for task in pathlib.Path('/proc/self/task').iterdir()}\n"
        f"assert masks == {{'{left:016x}'}}, masks\n"
    )
    assert masks(found) == {"CapInh": 0, "CapPrm": left, "CapEff": left, "CapBnd": left, "CapAmb": 0}
    assert found["NoNewPrivs"] == "1"


@needs_root
def test_exec_gives_nothing_back() -> None:
    found = status(
        "from defense_lines.agent import confine\nimport subprocess\nconfine(frozenset())\n"
        "print(subprocess.run(['cat', '/proc/self/status'], capture_output=True, text=True).stdout)\n"
        "raise SystemExit"
    )
    assert masks(found)["CapEff"] == masks(found)["CapPrm"] == 0


AT_FORK = """
import os, subprocess, threading
from defense_lines.agent import Capability, drop
os.register_at_fork(after_in_child=lambda: {starts})
child = subprocess.run(['cat', '/proc/self/status'], capture_output=True, text=True,
    preexec_fn=lambda: drop(frozenset({{Capability.NET_ADMIN}})))
print(child.stdout, child.stderr)
raise SystemExit(child.returncode)
"""


@needs_root
@pytest.mark.parametrize(
    "starts", ["None", "threading.Thread(target=threading.Event().wait).start()"], ids=["alone", "threads after fork"]
)
def test_drop_as_a_child_is_started(starts: str) -> None:
    assert masks(status(AT_FORK.format(starts=starts)))["CapEff"] == NET_ADMIN


def test_effective_reads_this_process() -> None:
    assert (12 in effective()) == ROOT or not ROOT
