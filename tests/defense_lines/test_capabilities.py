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


@needs_root
def test_drop_says_so_when_another_thread_keeps_more() -> None:
    status(
        "from defense_lines.agent import CapabilityError, drop\nimport threading\n"
        "end = threading.Event()\nthread = threading.Thread(target=end.wait)\nthread.start()\n"
        "try:\n    drop(frozenset())\nexcept CapabilityError as error:\n    assert 'thread' in str(error)\n"
        "else:\n    raise AssertionError\nfinally:\n    end.set()\nthread.join()"
    )


@needs_root
def test_drop_as_a_child_is_started() -> None:
    program = (
        "import subprocess, sys\nfrom defense_lines.agent import Capability, drop\n"
        "child = subprocess.run(['cat', '/proc/self/status'], capture_output=True, text=True,\n"
        "    preexec_fn=lambda: drop(frozenset({Capability.NET_ADMIN})))\n"
        "print(child.stdout, child.stderr)\nraise SystemExit(child.returncode)"
    )
    assert masks(status(program))["CapEff"] == NET_ADMIN


def test_effective_reads_this_process() -> None:
    assert (12 in effective()) == ROOT or not ROOT
