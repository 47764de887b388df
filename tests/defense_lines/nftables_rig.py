"""Network namespaces for tests: each is a thread that lives in one of its own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from defense_lines.agent import unavailable

CLONE_NEWNET = 0x40000000
T = TypeVar("T")


class Namespace:
    """Runs work in a network namespace. Threads and children that the work starts live there too."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=_enter)
        self.path = Path(f"/proc/{os.getpid()}/task/{self.run(threading.get_native_id)}/ns/net")
        self.ip("link set lo up")

    def run(self, work: Callable[..., T], *arguments: object) -> T:
        return self._thread.submit(work, *arguments).result(timeout=60)

    def loop(self, work: Coroutine[Any, Any, T], patience: float = 60) -> T:
        result: T = self._thread.submit(asyncio.run, work).result(timeout=patience)
        return result

    def ip(self, arguments: str) -> None:
        self.run(_ip, arguments)

    def close(self) -> None:
        self._thread.shutdown()


@contextmanager
def namespaces(count: int) -> Iterator[list[Namespace]]:
    """Fresh namespaces; skips where the host cannot make them."""
    if os.geteuid() != 0:
        pytest.skip("needs root (network namespaces)")
    if reason := unavailable():
        pytest.skip(f"needs libnftables ({reason})")
    made = [Namespace() for _ in range(count)]
    try:
        yield made
    finally:
        for namespace in made:
            namespace.close()


def connect(left: Namespace, right: Namespace, left_addresses: list[str], right_addresses: list[str]) -> None:
    """A veth pair between two namespaces."""
    left.ip("link add eth0 type veth peer name eth1")
    left.ip(f"link set eth1 netns {right.path}")
    right.ip("link set eth1 name eth0")
    for namespace, addresses in ((left, left_addresses), (right, right_addresses)):
        for address in addresses:
            namespace.ip(f"address add {address} dev eth0" + (" nodad" if ":" in address else ""))
        namespace.ip("link set eth0 up")


def _enter() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _ip(arguments: str) -> None:
    try:
        subprocess.run(["ip", *arguments.split()], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs ip (iproute2)")
