"""What a sensor tells of a TCP flow: its word for how it ended, bytes each way, seconds.

Zeek (conn.log, `conn_state`) counts content: a flow that was never answered (S0) or refused (REJ) has none. Suricata
(EVE `flow`) counts packets whole, headers too, and says `closed` of a refused flow as of one that was talked over.
Sysmon 3 tells neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from detectors.simulator.tracks import Codes, Mask, Numbers

DONE, UNANSWERED, REFUSED, BROKEN_OFF = range(4)
Ends = NDArray[np.int64]  # one of the four for each flow
_WORDS = {
    "zeek": ("SF", "S0", "REJ", "RSTO"),
    "eve": ("closed timeout", "new timeout", "closed timeout", "closed timeout"),
    "sysmon": ("", "", "", ""),
}
_CONTENT = 1400  # bytes of a full packet's
_TRIES = {UNANSWERED: (1, 2, 3), REFUSED: (1, 1, 1, 2, 3)}  # of one that does not come about


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor as it sees one host."""

    name: str
    headers: int = 0  # bytes that it counts to each packet
    known: bool = True  # whether it tells bytes and seconds at all

    @classmethod
    def drawn(cls, rng: Generator, name: str) -> Sensor:
        """A host's packets have 54 bytes of headers, or more where it sends options."""
        return cls(name, int(rng.choice([54, 60, 66, 74])) if name == "eve" else 0, name != "sysmon")

    def words(self, ends: Ends) -> list[str]:
        """How each flow ended."""
        return [_WORDS[self.name][end] for end in ends.tolist()]

    def numbers(
        self, rng: Generator, ends: Ends, sent: Numbers, received: Numbers, seconds: Numbers, trip: float
    ) -> dict[str, Codes | Numbers]:
        """Columns of flows whose content and seconds are these where they were talked over. `trip`: there and back."""
        unanswered, refused = ends == UNANSWERED, ends == REFUSED
        silent = unanswered | refused
        tries = np.select([unanswered, refused], [rng.choice(_TRIES[end], len(ends)) for end in (UNANSWERED, REFUSED)])
        waited = np.where(unanswered, 2.0 ** (tries - 1) - 1.0, tries * trip)  # RFC 6298, section 5
        columns: dict[str, Codes | Numbers] = {"duration": np.where(silent, waited, seconds + trip) * self.known}
        for name, content, alone in (("bytes_in", sent, tries), ("bytes_out", received, tries * refused)):
            packets = np.where(silent, alone, 3 + np.ceil(content / _CONTENT))
            columns[name] = (np.where(silent, 0, content) + packets * self.headers).astype(np.int64) * self.known
        return columns


def failures(rng: Generator, failed: Mask) -> Ends:
    """How those flows ended that failed: what is asked is away, behind a wall, or takes no calls; or some of each."""
    unanswered = rng.choice([0.0, 1.0, float(rng.random())])
    return np.where(failed, np.where(rng.random(len(failed)) < unanswered, UNANSWERED, REFUSED), DONE)
