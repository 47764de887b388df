"""Who is at the other end of a Unix socket: a process of ours, which can be ended."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))


@dataclass(frozen=True, slots=True)
class Peer:
    """A process. Its descriptor means it alone, whoever has its number later."""

    pid: int
    descriptor: int

    def end(self) -> None:
        """SIGKILL, if it still lives."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)


@contextmanager
def peer(sock: socket.socket) -> Iterator[Peer]:
    """The process that connected. Raises OSError where it is gone, PermissionError where it is somebody else's."""
    pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid not in (0, os.geteuid()):
        raise PermissionError(f"uid {uid} may be told nothing")
    descriptor = os.pidfd_open(pid)
    try:
        yield Peer(pid, descriptor)
    finally:
        os.close(descriptor)
