"""What was already said: the same verdict is not repeated every few milliseconds while an attack lasts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telemetry import Hashes

QUIET = 30.0  # seconds between two verdicts of one detector on one subject
RISE = 0.1  # a score that is higher by so much is said at once
_MOST = 65_536  # subjects remembered; beyond it the one longest silent is forgotten and may be told of again

Said = tuple[str, int]  # detector, hash of the subject


class Repeats:
    """Bounded memory of the last verdict on each subject."""

    def __init__(self, most: int = _MOST, quiet: float = QUIET) -> None:
        self._most, self._quiet = most, quiet
        self._last: OrderedDict[Said, tuple[float, float]] = OrderedDict()  # time, score

    def due(self, said: Said, score: float, now: float) -> bool:
        """Whether a verdict of that score should be told now."""
        time, before = self._last.get(said, (float("-inf"), 0.0))
        return not 0.0 <= now - time < self._quiet or score >= before + RISE

    def note(self, said: Said, score: float, now: float) -> None:
        """Remember that it was told."""
        self._last[said] = (now, score)
        self._last.move_to_end(said)
        while len(self._last) > self._most:
            self._last.popitem(last=False)

    def unsaid(self, detector: str, subjects: Hashes, scores: NDArray[np.float64], now: float) -> NDArray[np.int64]:
        """Places of the subjects, [n] different ones, whose scores are due; they count as told from here on."""
        said, values = [(detector, subject) for subject in subjects.tolist()], scores.tolist()
        due = [place for place, one in enumerate(said) if self.due(one, values[place], now)]
        for place in due:
            self.note(said[place], values[place], now)
        return np.array(due, np.int64)

    def state(self) -> dict[str, NDArray[Any]]:
        """For `restore`."""
        names, subjects = zip(*self._last, strict=True) if self._last else ((), ())
        told = np.array(list(self._last.values()), float).reshape(-1, 2)
        return {"names": np.array(names, "S32"), "subjects": np.array(subjects, np.uint64), "told": told}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Remember what another one did."""
        said = zip(state["names"].tolist(), state["subjects"].tolist(), strict=True)
        told = map(tuple, state["told"].tolist())
        self._last = OrderedDict(
            ((name.decode(), subject), times) for (name, subject), times in zip(said, told, strict=True)
        )

    def __len__(self) -> int:
        return len(self._last)
