"""Giving up what root may do: capabilities(7), capset(2), prctl(2), through ctypes.

Capabilities belong to threads, so they are given up before a thread starts. Libraries may start threads as they are
imported (NumPy does); `confine` then runs the same program once more, from a single thread that already has none.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from enum import IntEnum
from pathlib import Path

_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_VERSION_3 = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: two words of 32 bits for each set
_TASKS = Path("/proc/self/task")


class Capability(IntEnum):
    """The capabilities that a part of Portcullis may keep; linux/capability.h."""

    NET_BIND_SERVICE = 10
    NET_ADMIN = 12


class CapabilityError(Exception):
    """Capabilities could not be given up, or one that is needed is not held."""


def drop(keep: frozenset[Capability]) -> None:
    """Leave the calling thread nothing but `keep`, for good: bounding, ambient, inheritable, permitted and effective
    sets, and no new privileges through exec.

    For `preexec_fn`: exec ends every other thread, such as those that libraries start in a child after a fork (gRPC
    does), so that nothing is left with more. A capability in `keep` that is not held is not gained. Raises
    CapabilityError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    thread = Path("/proc/thread-self/status")
    held = frozenset(_numbers(thread, "CapPrm"))
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _prctl(libc, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _drop_bounding(libc, keep, held)
    _capset(libc, held & keep)
    left = frozenset(number for name in ("CapPrm", "CapEff", "CapInh", "CapAmb") for number in _numbers(thread, name))
    if left - keep:
        raise CapabilityError(f"still held after capset: {sorted(left - keep)}")


def confine(keep: frozenset[Capability]) -> None:
    """As `drop`, for the whole process: where threads that hold more are running, it is replaced by the same program,
    started anew with no more than `keep`. To be called first thing in a program's main. Raises CapabilityError.
    """
    drop(keep)
    if effective() - keep:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the program that runs already


def require(capability: Capability) -> None:
    """Raises CapabilityError, in words fit for people, if this process does not hold it."""
    if capability not in effective():
        raise CapabilityError(f"needs CAP_{capability.name}: start it as root or give it that capability")


def effective() -> frozenset[int]:
    """Numbers of the capabilities in effect in any thread of this process."""
    return frozenset(number for task in _TASKS.iterdir() for number in _numbers(task / "status", "CapEff"))


def _drop_bounding(libc: ctypes.CDLL, keep: frozenset[Capability], held: frozenset[int]) -> None:
    # Without CAP_SETPCAP (8) the bounding set stays, and no_new_privs is what keeps exec from giving anything.
    if 8 not in held:
        return
    number = 0
    while libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:  # fails past the kernel's last capability
        if number not in keep:
            _prctl(libc, _PR_CAPBSET_DROP, number)
        number += 1


def _capset(libc: ctypes.CDLL, keep: frozenset[int]) -> None:
    mask = sum(1 << number for number in keep)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("Ii", _VERSION_3, 0)
    sets = struct.pack("6I", low, low, 0, high, high, 0)  # effective, permitted, inheritable; low words, then high
    if libc.capset(header, sets) != 0:
        raise CapabilityError(f"capset: {os.strerror(ctypes.get_errno())}")


def _prctl(libc: ctypes.CDLL, option: int, argument: int) -> None:
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(argument), zero, zero, zero) != 0:
        raise CapabilityError(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _numbers(status: Path, field: str) -> list[int]:
    try:
        lines = status.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []  # a thread that has just ended holds nothing
    mask = next((int(line.split()[1], 16) for line in lines if line.startswith(f"{field}:")), 0)
    return [number for number in range(mask.bit_length()) if mask >> number & 1]
