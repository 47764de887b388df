"""The gateway's clock, as a host knows it: read off messages, and counted on by the time since the host's boot. Pure.

A message that says an earlier time than is counted was late, or the gateway's clock was set back, as where a host takes
over whose clock is behind. How late a message is varies, and by how much a clock was set back does not.
"""

from __future__ import annotations

from typing import Final

_DRIFT: Final = 1e-4  # by which a clock may run faster than another
_STEP: Final = 10.0  # seconds; no message is longer on its way
_CLOSE: Final = 0.1  # seconds; what is behind by less needs no explanation but drift
_SETTLED: Final = 30.0  # seconds in which every message is behind, if the clock was set back
_SEVERAL: Final = 3  # messages


class GatewayClock:
    """Unix seconds that the gateway would say, at `now`: seconds since this host's boot."""

    def __init__(self, offset: float, now: float) -> None:
        """`offset`: the gateway's clock less the time since the boot, until the gateway says it."""
        self.offset = offset
        self._seen = now  # when the gateway last told its time
        self._behind = 0  # messages in a row that were
        self._first = now  # when the first of them came
        self._most = offset  # that one of them said, less its own `now`

    def set(self, time: float, now: float) -> None:
        """Believe one message as it comes."""
        self.offset, self._seen, self._behind = time - now, now, 0

    def see(self, time: float, now: float) -> None:
        """The gateway said what time it is. What says a later time than is counted was less long on its way; what says
        an earlier one counts for a step of its clock at once where no message is so late, and for drift by as much.
        """
        said = time - now
        if self.offset - said > _STEP:
            self.set(time, now)
            return
        drifted = _DRIFT * max(0.0, now - self._seen)
        self._seen = max(now, self._seen)
        self.offset = max(said, self.offset - drifted)
        self._follow(said, now)

    def _follow(self, said: float, now: float) -> None:
        """Set back by less than a message may be late, if for a while each of several is behind: by the least of it."""
        if said > self.offset - _CLOSE:
            self._behind = 0
            return
        if not self._behind:
            self._first, self._most = now, said
        self._behind += 1
        self._most = max(said, self._most)
        if self._behind >= _SEVERAL and now - self._first >= _SETTLED:
            self.offset, self._behind = self._most, 0
