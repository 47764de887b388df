"""A firewall that is a file: it outlives its agent as a kernel does, and anyone can look into it.

It ends what it holds by itself, by the time since the host's boot. A record is what one change did to one prefix.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

from defense_lines.agent.actuation import Listing, Until, since_boot
from defense_lines.agent.prefix import Prefix

_RECORD = struct.Struct("<B17sd")  # length of the prefix, the prefix, its end (0: none)


class Looker:
    """Reads what such a firewall holds, and what changed since it last looked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._ends: dict[Prefix, float] = {}

    def ends(self) -> dict[Prefix, float]:
        """Each prefix that is blocked at this moment, and until when, in seconds since the host's boot."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
            whole = len(data) - len(data) % _RECORD.size
            self._at += whole
            for length, padded, end in _RECORD.iter_unpack(data[:whole]):
                self._ends[padded[:length]] = end
        now = since_boot()
        self._ends = {prefix: end for prefix, end in self._ends.items() if end > now}
        return self._ends


class Shelf:
    """See `defense_lines.agent.actuation.Firewall`."""

    waits = False

    def __init__(self, path: Path) -> None:
        self._looker = Looker(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def start(self) -> None:
        """Nothing to do."""

    def change(self, changes: Mapping[Prefix, Until | None], fresh: bool = False) -> Mapping[Prefix, str]:
        """One write, which a kill does or does not let happen: a transaction, as the kernel's."""
        records = (_RECORD.pack(len(prefix), prefix, until.end if until else 0.0) for prefix, until in changes.items())
        os.write(self._file, b"".join(records))
        return {}

    def listing(self) -> Listing:
        """All that is there."""
        return Listing(dict(self._looker.ends()))

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
