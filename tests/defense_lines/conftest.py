"""Without root, each test of a module that makes network namespaces runs in a child that is root of a user namespace.

A process with threads cannot enter a user namespace, and pytest cannot leave one; so the child is forked for one test.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol  # as pytest-forked does: no public name gives reports without logging them

from tests.defense_lines import nftables_rig

_CLONE_NEWUSER = 0x10000000


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run the test elsewhere, if it needs that, and report as if it had run here."""
    if os.geteuid() == 0 or not _makes_namespaces(item) or not _allowed():
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _makes_namespaces(item: pytest.Item) -> bool:
    module = item.getparent(pytest.Module)
    return module is not None and getattr(module.obj, "namespaces", None) is nftables_rig.namespaces


def _allowed() -> bool:
    """Whether this host lets an ordinary user be root in a namespace."""
    child = os.fork()
    if child == 0:
        os._exit(0 if _become_root() else 1)
    return os.waitpid(child, 0)[1] == 0


def _reports(item: pytest.Item) -> Iterator[pytest.TestReport]:
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _run(item, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    for data in json.loads(told or b"[]"):
        yield item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
    if not told:
        words = "the child that ran the test died"
        yield pytest.TestReport(item.nodeid, item.location, {}, "failed", words, "call")


def _run(item: pytest.Item, writing: int) -> None:
    try:
        if not _become_root():
            os._exit(1)
        reports = runtestprotocol(item, log=False, nextitem=None)
        data = [item.config.hook.pytest_report_to_serializable(config=item.config, report=report) for report in reports]
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(data, default=str).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _become_root() -> bool:
    uid, gid = os.geteuid(), os.getegid()
    if ctypes.CDLL(None).unshare(_CLONE_NEWUSER | nftables_rig.CLONE_NEWNET) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError:
        return False
    return True
