"""A delivery is how much one bouncer has been told, and what its polls prove of it.

The stream has no acknowledgement. But a bouncer (CrowdSec's Go library, to its latest version) reads a whole answer,
hands it to the part of it that enforces, and only then polls again; and that part takes an answer when it is through
with the one before. So a poll that comes on the connection which carried an answer proves that this answer has come,
and that the one before it is enforced. An answer of which a poll proves nothing is given again. After an answer that
said something the next poll is answered at once, if with nothing, for the poll after that proves what we want to know.
"""

from __future__ import annotations

from typing import NamedTuple

NOTHING = -1  # no entry: all that stands is still to be told


class Mark(NamedTuple):
    """All up to here is in an answer."""

    place: int  # in the journal
    seq: int  # of the ledger's entries
    said: bool = False  # whether the answer said anything


class Delivery:
    """Pure: it is told of polls and of answers, in turn."""

    def __init__(self, place: int) -> None:
        """`place`: of what came after, a bouncer may have heard or not. Its first poll is answered at once."""
        self.enforced = self.taken = self._answered = Mark(place, NOTHING, said=True)

    @property
    def proving(self) -> bool:
        """Whether a poll is to be answered now, if with nothing, for what the next one proves."""
        return self.taken.said

    def due(self, place: int) -> bool:
        """Whether a poll is to be answered now, where `place` is that of the newest change."""
        return self.proving or self._answered.seq == NOTHING or place > self._answered.place

    def polled(self, received: bool) -> bool:
        """A poll has come. `received`: on the connection that carried the last answer. Whether that one goes again."""
        if received:
            self.enforced, self.taken = self.taken, self._answered
            return False
        lost, self._answered = self._answered, self.taken
        return lost is not self.taken and lost.said

    def answer(self, upto: Mark) -> None:
        """A poll is answered with all that came after `taken`, up to here."""
        self._answered = upto

    def nothing(self) -> None:
        """A poll is answered with nothing, whatever came after `taken`: that is still to be told."""
        self._answered = self.taken._replace(said=False)
