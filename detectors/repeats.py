"""What was already said: the same verdict is not repeated every few milliseconds while an attack lasts."""

from __future__ import annotations

from collections import OrderedDict

QUIET = 30.0  # seconds between two verdicts of one detector on one subject
RISE = 0.1  # a score that is higher by so much is said at once
_MOST = 65_536  # subjects remembered; beyond it the one longest silent is forgotten and may be told of again

Said = tuple[str, int]  # detector, hash of the subject


class Repeats:
    """Bounded memory of the last verdict on each subject."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._last: OrderedDict[Said, tuple[float, float]] = OrderedDict()  # time, score

    def due(self, said: Said, score: float, now: float) -> bool:
        """Whether a verdict of that score should be told now."""
        time, before = self._last.get(said, (float("-inf"), 0.0))
        return not 0.0 <= now - time < QUIET or score >= before + RISE

    def note(self, said: Said, score: float, now: float) -> None:
        """Remember that it was told."""
        self._last[said] = (now, score)
        self._last.move_to_end(said)
        while len(self._last) > self._most:
            self._last.popitem(last=False)

    def __len__(self) -> int:
        return len(self._last)
