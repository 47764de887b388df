"""What a child writes, line by line, with bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LONGEST_LINE = 64 * 1024  # bytes; a longer one is told in pieces


class Prefixed(asyncio.Protocol):
    """Reads a pipe and tells each line of it as text."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Tell the lines that are whole."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell(line)
        while len(self._rest) >= LONGEST_LINE:
            self._tell(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell what stands without an end."""
        if self._rest:
            self._tell(self._rest)

    def _tell(self, line: bytes) -> None:
        self._say(line.decode(errors="replace"))
