"""TCP ports of 127.0.0.1 that are free, for programs that are about to listen on them."""

from __future__ import annotations

import itertools
import random
import socket

# Below the ports that Linux gives to outgoing connections (ip_local_port_range): none of those takes one meanwhile.
_FIRST, _COUNT = 10_000, 22_000
# Processes that draw at one time begin far from one another, and so do not meet.
_turn = itertools.count(random.SystemRandom().randrange(_COUNT))


def free_port() -> int:
    """One that nothing listens on now, and that was not given for long."""
    while True:
        port = _FIRST + next(_turn) % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def free_ports(count: int) -> list[int]:
    """Different ones."""
    return [free_port() for _ in range(count)]
