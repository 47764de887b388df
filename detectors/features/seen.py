"""Which things a subject has touched before: one filter for all subjects, which forgets by age."""

from __future__ import annotations

from collections.abc import Mapping

from detectors.arrays import Array, Arrays

GENERATION = 6 * 3600.0  # seconds
KEPT = 8  # generations; what was not touched for so long, two days, is new again
PLACES = 64  # for each subject that fits, on average
_RING = 250  # generations that are told apart; a byte holds them, and 0 for a place never touched
_SHIFTS = (0, 32)  # of a pair's hash, for each probe. A table that is a fifth full, 20 things a subject, takes one new
# thing in 70 for known; a full one, one in five
_ODD, _SPREAD = 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD


class Seen:
    """A Bloom filter (Bloom 1970) of the pairs of subject and thing whose places hold, in place of a bit, the
    generation in which they were last touched: nothing needs to be cleared but what has grown too old.

    The answer for a row does not depend on how rows are batched, while they come in the order of time; but for the
    filter's own mistakes, which a place touched earlier in the same batch does not cause.
    """

    def __init__(self, capacity: int, arrays: Arrays) -> None:
        self._xp = arrays.xp
        places = 1 << max(10, (capacity * PLACES - 1).bit_length())
        self._mask = self._xp.uint64(places - 1)
        self.touched = self._xp.zeros(places, self._xp.uint8)
        self._swept = 0  # the generation up to which old places were cleared
        self._meaning: tuple[int, Array, Array] | None = None  # of what a place may hold, in one generation

    def mark(self, subjects: Array, things: Array, times: Array) -> Array:
        """Remember that each row's subject (hash) touched a thing (hash); which rows were the first to. [n] each."""
        xp = self._xp
        pairs = (subjects ^ (things * xp.uint64(_ODD))) * xp.uint64(_SPREAD)
        pairs ^= pairs >> xp.uint64(29)
        first, last = (int(time // GENERATION) for time in (times.min(), times.max()))
        self._sweep(last)
        if first == last:
            return self._mark(pairs, last)
        generations = (times // GENERATION).astype(xp.int64)
        novel = xp.zeros(len(pairs), bool)
        for generation in xp.unique(generations).tolist():
            rows = xp.flatnonzero(generations == generation)
            novel[rows] = self._mark(pairs[rows], generation)
        return novel

    def state(self) -> dict[str, Array]:
        """What `restore` needs: the places that are taken, and what they hold."""
        places = self._xp.flatnonzero(self.touched).astype(self._xp.uint32)
        about = self._xp.asarray([len(self.touched), self._swept])
        return {"places": places, "held": self.touched[places], "about": about}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Hold what the other one held; of another size, nothing: everything is new again."""
        self.touched[:] = 0
        size, swept = (int(number) for number in state["about"])
        if size == len(self.touched):
            self._swept = swept
            self.touched[self._xp.asarray(state["places"])] = self._xp.asarray(state["held"])

    def _mark(self, pairs: Array, generation: int) -> Array:
        """Rows of one generation."""
        xp = self._xp
        stamp = generation % _RING + 1
        fresh, older = self._means(generation)
        novel = xp.zeros(len(pairs), bool)
        for shift in _SHIFTS:
            places = (pairs >> xp.uint64(shift)) & self._mask
            held = xp.take(self.touched, places)
            rows = xp.flatnonzero(held != stamp)  # most were touched in this generation already
            held = held[rows]
            novel[rows] |= ~fresh[held]
            self.touched[places[rows[older[held]]]] = stamp
        rows = xp.flatnonzero(novel)
        novel[rows] = False
        novel[rows[xp.unique(pairs[rows], return_index=True)[1]]] = True
        return novel

    def _means(self, generation: int) -> tuple[Array, Array]:
        """`_fresh` and `_older`, made once a generation."""
        if self._meaning is None or self._meaning[0] != generation:
            self._meaning = generation, self._fresh(generation), self._older(generation)
        return self._meaning[1:]

    def _fresh(self, generation: int) -> Array:
        """Of each value that a place may hold, whether it means a touch within the last KEPT generations; or later,
        for rows may come late.
        """
        held = self._xp.arange(256)
        age = (generation % _RING + 1 - held) % _RING
        return (held != 0) & ((age < KEPT) | (age > _RING // 2))

    def _older(self, generation: int) -> Array:
        """Of each value that a place may hold, whether a touch in this generation replaces it."""
        held = self._xp.arange(256)
        age = (generation % _RING + 1 - held) % _RING
        return (held == 0) | ((age > 0) & (age <= _RING // 2))

    def _sweep(self, generation: int) -> None:
        """Once a generation, clear what is too old, before its number comes again."""
        if generation <= self._swept:
            return
        if not self._swept:  # nothing was touched yet
            pass
        elif generation - self._swept > _RING // 2 - KEPT:
            self.touched[:] = 0
        else:
            self.touched *= self._fresh(generation)[self.touched]
        self._swept = generation
