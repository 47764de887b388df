"""Who is judged again: whoever did something new, or that went wrong; and others once a second of their own time."""

from __future__ import annotations

from typing import NamedTuple

from detectors.arrays import Array, Arrays
from detectors.features.damped import Turn

AGAIN = 1.0  # seconds after which a subject that did nothing new is judged again


class News(NamedTuple):
    """Subjects that are due to be judged, [d] each."""

    hashes: Array
    rows: Array  # each one's last row in the batch
    matrix: Array  # [d, features]


class Due:
    """When each subject was judged last. Of who goes on as before, nothing changes but what has faded since."""

    def __init__(self, capacity: int, arrays: Arrays) -> None:
        self._xp = arrays.xp
        self.judged = self._xp.full(capacity, -self._xp.inf)  # Unix seconds

    def take(self, turn: Turn, telling: Array) -> Array:
        """The places among a turn's subjects of those who are due, who count as judged; `telling` [n] are rows, in the
        turn's order, of which one is enough.
        """
        xp = self._xp
        self.judged[turn.slots[turn.strangers]] = -xp.inf
        latest = turn.times[turn.ends]
        due = xp.abs(latest - self.judged[turn.slots]) >= AGAIN
        due[turn.group[telling]] = True
        places = xp.flatnonzero(due)
        self.judged[turn.slots[places]] = latest[places]
        return places
