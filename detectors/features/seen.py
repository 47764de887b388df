"""Which things a subject has touched before: a hashed bitmap each, in two generations so that it forgets."""

from __future__ import annotations

from detectors.arrays import Array, Arrays

BITS = 4096  # for each subject and generation; 200 things give a stranger 5 % to be taken for a known one
GENERATION = 86_400.0  # seconds; what was not touched for two of them is new again
_WORDS = BITS // 32


class Seen:
    """Linear counting (Whang 1990) over one hash; the answer for a row does not depend on how rows are batched."""

    def __init__(self, capacity: int, arrays: Arrays) -> None:
        xp = self._xp = arrays.xp
        self._now = xp.zeros(capacity * _WORDS, xp.uint32)
        self._before = xp.zeros(capacity * _WORDS, xp.uint32)
        self._filled = xp.zeros(capacity, xp.int64)  # bits set in `_now`, by slot
        self._ends: float | None = None  # when this generation ends

    def clear(self, slots: Array) -> None:
        """Forget everything about some slots."""
        if len(slots):
            self._now.reshape(-1, _WORDS)[slots] = 0
            self._before.reshape(-1, _WORDS)[slots] = 0
            self._filled[slots] = 0

    def mark(self, slots: Array, hashes: Array, times: Array) -> Array:
        """Remember that each row's slot touched the thing of that hash; which rows were the first to. [n] each."""
        xp = self._xp
        novel = xp.zeros(len(slots), bool)
        bits = (hashes & xp.uint64(BITS - 1)).astype(xp.int64)
        start = 0
        while start < len(slots):
            end = start + self._until_turn(times[start:])
            novel[start:end] = self._mark(slots[start:end], bits[start:end])
            start = end
        return novel

    def distinct(self, slots: Array) -> Array:
        """How many different things each slot touched in this generation, about."""
        share = self._xp.minimum(self._filled[slots], BITS - 1) / BITS
        return -BITS * self._xp.log1p(-share)

    def _until_turn(self, times: Array) -> int:
        """How many rows belong to this generation; a first row that does not begins the next."""
        if self._ends is None:
            self._ends = _end(float(times[0]))
        late = self._xp.flatnonzero(times >= self._ends)
        if not len(late):
            return len(times)
        first = int(late[0])
        if first:
            return first
        idle = float(times[0]) - self._ends
        self._before = self._now if idle < GENERATION else self._xp.zeros_like(self._now)
        self._now = self._xp.zeros_like(self._now)
        self._filled[:] = 0
        self._ends = _end(float(times[0]))
        return self._until_turn(times)

    def _mark(self, slots: Array, bits: Array) -> Array:
        xp = self._xp
        novel = xp.zeros(len(slots), bool)
        words = slots * _WORDS + (bits >> 5)
        masks = xp.left_shift(xp.uint32(1), (bits & 31).astype(xp.uint32))
        rows = xp.flatnonzero((self._now[words] & masks) == 0)
        if not len(rows):
            return novel
        rows = rows[xp.unique(slots[rows] * BITS + bits[rows], return_index=True)[1]]
        xp.add.at(self._now, words[rows], masks[rows])  # the bits are unset and each comes once: adding is setting
        xp.add.at(self._filled, slots[rows], 1)
        novel[rows] = (self._before[words[rows]] & masks[rows]) == 0
        return novel


def _end(time: float) -> float:
    return (time // GENERATION + 1) * GENERATION
