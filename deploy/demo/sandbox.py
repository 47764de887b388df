"""The sandbox: private mount and network namespaces, entered in process, and a namespace for each outside host.

Nothing the demo does to addresses, links or nftables is seen outside; when the process ends, all of it is gone.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)


class NoSandbox(Exception):
    """The kernel or the machine does not give us namespaces; the message says what is missing."""


def enter() -> None:
    """Move this process, which must have one thread, into namespaces of its own. Raises NoSandbox: nothing has moved.

    There is no way back from half of a sandbox, so a child goes first.
    """
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - the kernel's list of threads, not of files
        raise NoSandbox("namespaces must be entered before a second thread exists")
    for tool in ("ip", "mount"):
        if shutil.which(tool, path=_path()) is None:
            raise NoSandbox(f"the command `{tool}` is not installed")
    os.environ["PATH"] = _path()
    _try_in_child()
    _move()


def _try_in_child() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, _failure().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        missing = told.read()
    os.waitpid(child, 0)
    if missing:
        raise NoSandbox(missing)


def _failure() -> str:
    """Why the sandbox cannot be had, tried out; empty if it can."""
    try:
        _move()
        _run("ip", "netns", "add", "trial")
        _run("ip", "link", "add", "to-trial", "type", "veth", "peer", "name", "eth0", "netns", "trial")
    except (NoSandbox, OSError) as error:
        return str(error).splitlines()[0]
    return ""


def _move() -> None:
    _enter_as_root() if os.geteuid() == 0 else _enter_as_user()
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    Path("/run/netns").mkdir()
    _run("ip", "link", "set", "lo", "up")


def _enter_as_root() -> None:
    _unshare(CLONE_NEWNS | CLONE_NEWNET)


def _enter_as_user() -> None:
    user, group = os.geteuid(), os.getegid()
    _unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        raise NoSandbox(f"the kernel gives no namespaces: {os.strerror(ctypes.get_errno())}")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoSandbox(f"{' '.join(command)}: {done.stderr.strip()}")


def _path() -> str:
    # Plain users on Debian do not have the sbin folders on their path.
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Host:
    """A place to call from: it opens sockets that are bound to its own address."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.netns: Path | None = None

    def open_socket(self, address: str = "") -> socket.socket:
        """A TCP socket that does not block, bound to `address` or the host's own."""
        opened = self._open()
        opened.bind((address or self.address, 0))
        opened.setblocking(False)
        return opened

    def add_address(self, address: str) -> None:
        """Answer to one more address; on the loopback every address is ours already."""

    def _open(self) -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def close(self) -> None:
        """Give back what the host holds."""


class NamespaceHost(Host):
    """A host in a network namespace of its own, joined to the bank by a pair of virtual interfaces."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(name, address)
        self.netns = Path("/run/netns") / name
        self._join(str(next(ipaddress.ip_network(f"{address}/24", strict=False).hosts())))
        # A socket belongs to the namespace of the thread that opens it: one parked thread opens them all.
        self._thread = ThreadPoolExecutor(1, f"netns-{name}", _enter_netns, (self.netns,))

    def _join(self, gateway: str) -> None:
        inside = ("ip", "-n", self.name)
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", f"to-{self.name}", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _run("ip", "address", "add", f"{gateway}/24", "dev", f"to-{self.name}")
        _run("ip", "link", "set", f"to-{self.name}", "up")
        _run(*inside, "address", "add", f"{self.address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "route", "add", "default", "via", gateway)

    def add_address(self, address: str) -> None:
        """Answer to one more address of the same network."""
        _run("ip", "-n", self.name, "address", "add", f"{address}/24", "dev", "eth0")

    def _open(self) -> socket.socket:
        return self._thread.submit(socket.socket, socket.AF_INET, socket.SOCK_STREAM).result()

    def close(self) -> None:
        """End the parked thread; the namespace goes with the sandbox."""
        self._thread.shutdown()


def _enter_netns(path: Path) -> None:
    with path.open() as handle:
        if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")


def enter_netns(path: Path) -> None:
    """Move the calling thread, and what it starts later, into a named network namespace. Raises OSError."""
    _enter_netns(path)


class Network:
    """The bank's own addresses and every outside host; real namespaces, or loopback addresses in their place."""

    def __init__(self, names: Sequence[str], isolated: bool) -> None:
        self.isolated = isolated
        prefix = "10.77" if isolated else "127.77"
        self.edge_address = f"{prefix}.0.1"
        self.core_address = f"{prefix}.0.10"  # the core banking host, never to be blocked
        self.bank_range = f"{prefix}.0.0/24"
        if isolated:
            for own in (self.edge_address, self.core_address):
                _run("ip", "address", "add", f"{own}/32", "dev", "lo")
        kind = NamespaceHost if isolated else Host
        self.hosts = {name: kind(name, f"{prefix}.{index}.2") for index, name in enumerate(names, 1)}

    def close(self) -> None:
        """Give back what the hosts hold."""
        for host in self.hosts.values():
            host.close()
