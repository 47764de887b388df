"""Who the rows of a batch are about: each subject once, by hash, and the rows in the order of their subjects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Array, Arrays
from detectors.features.hashing import hash_whole
from telemetry import EventBatch, Words

_ADDRESS = np.uint64(0xA0761D6478BD642F)  # tells an address from a principal of the same text
_ROW = 32  # bits of a row's number in a key to sort by


@dataclass(frozen=True, slots=True)
class Groups:
    """G subjects of n rows."""

    hashes: Array  # [G] all different, none 0
    of_row: Array  # [n] each row's place among them
    order: Array  # [n] the rows, subject by subject, each one's in the order in which they came
    starts: Array  # [G] where each one's rows begin in that order

    ends: Array  # [G] where each one's last row is in that order

    @property
    def last(self) -> Array:
        """[G] each one's last row."""
        return self.order[self.ends]


def by_actor(batch: EventBatch, arrays: Arrays, key: int) -> Groups:
    """Who acts; where nobody is known, the address. Rows must have one or the other (`identified`)."""
    actor, unknown = batch.actor, blank(batch.actor)
    if not unknown.any():
        return group(actor.codes, hash_whole(actor.values, key), arrays)
    codes = np.where(unknown, len(actor.values) + batch.address.codes.astype(np.int64), actor.codes)
    return group(codes, np.concatenate([hash_whole(actor.values, key), _addresses(batch, key)]), arrays)


def by_address(batch: EventBatch, arrays: Arrays, key: int) -> Groups:
    """The source address."""
    return group(batch.address.codes, _addresses(batch, key), arrays)


def group(host_codes: NDArray[np.integer], host_hashes: NDArray[np.uint64], arrays: Arrays) -> Groups:
    """Rows by the hash that each one's code points to; equal hashes under two codes are one subject."""
    xp = arrays.xp
    codes, table = xp.asarray(host_codes), xp.asarray(host_hashes)
    present = xp.bincount(codes, minlength=len(table)) > 0
    hashes = table[present]
    hashes |= hashes == 0  # 0 is nobody's
    of_row = (xp.cumsum(present) - 1)[codes]
    if _doubled(hashes, arrays):
        hashes, which = xp.unique(hashes, return_inverse=True)
        of_row = which[of_row]
    keys = xp.sort((of_row.astype(xp.int64) << _ROW) | xp.arange(len(of_row)))  # sorts faster than argsort does
    past = xp.cumsum(xp.bincount(of_row, minlength=len(hashes)))
    starts = xp.zeros_like(past)
    starts[1:] = past[:-1]
    return Groups(hashes, of_row, keys & ((1 << _ROW) - 1), starts, past - 1)


def _doubled(hashes: Array, arrays: Arrays) -> bool:
    """Whether any comes twice. Each claims a place by its own bits: only those that lose theirs need be compared."""
    xp, bits = arrays.xp, (4 * len(hashes)).bit_length()
    places, own = hashes & xp.uint64((1 << bits) - 1), xp.arange(len(hashes))
    claims = xp.empty(1 << bits, own.dtype)
    claims[places] = own
    winners = claims[places]
    lost = xp.flatnonzero(winners != own)
    rest = xp.sort(hashes[lost])
    return bool((hashes[winners[lost]] == hashes[lost]).any() or (rest[1:] == rest[:-1]).any())


def identified(batch: EventBatch) -> EventBatch:
    """Only the rows that say who acted or from where."""
    unknown = nameless(batch)
    return batch.take(~unknown) if unknown.any() else batch


def nameless(batch: EventBatch) -> NDArray[np.bool_]:
    """Which rows are about nobody: no actor, no address."""
    return blank(batch.actor) & blank(batch.address)


def blank(words: Words) -> NDArray[np.bool_]:
    """Which rows have no text."""
    return np.equal(words.lengths(), 0)


def _addresses(batch: EventBatch, key: int) -> NDArray[np.uint64]:
    return hash_whole(batch.address.values, key) ^ _ADDRESS
