"""Who speaks with whom: the pairs of source address and peer's port that the rows of a batch are about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Array, Arrays
from detectors.features.groups import Groups
from detectors.features.hashing import hash_whole, mix
from telemetry import EventBatch, Words

# Ports by which one host is worked on from another (T1021), and by which passwords are tried
REMOTE_PORTS = (21, 22, 23, 135, 139, 445, 3389, 5900, 5985, 5986)
IS_REMOTE = np.isin(np.arange(1 << 16), REMOTE_PORTS)
_SOURCE, _PEER, _APART = (np.uint64(one) for one in (0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3))
_SPREAD, _SHIFT = np.uint64(0xC4CEB9FE1A85EC53), np.uint64(32)
_ROW = 20  # bits of a row's number in a key to sort by; a hash has the others
Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ends:
    """n rows by their ends, each a hash of 44 bits and never 0, where the features are."""

    sources: Array
    peers: Array  # addresses; as what is worked on over a remote port, an address is another one
    pairs: Array  # of source, peer and port

    def take(self, rows: Array) -> Ends:
        """Some of the rows."""
        return Ends(self.sources[rows], self.peers[rows], self.pairs[rows])


def ends(batch: EventBatch, rows: Rows, arrays: Arrays, key: int) -> Ends:
    """The ends of some rows of a batch."""
    sources = _hashed(batch.address, rows, key, _SOURCE)
    remote = over_remote(batch, rows)
    peers = _hashed(batch.peer, rows, key, _PEER) ^ (remote * _APART)
    pairs = (peers ^ (mix(batch.port[rows]) << np.uint64(1))) * _SPREAD
    pairs = (pairs ^ (pairs >> _SHIFT) ^ sources) * _SPREAD
    return Ends(*(arrays.xp.asarray(_cut(hashes)) for hashes in (sources, peers, pairs ^ (pairs >> _SHIFT))))


def over_remote(batch: EventBatch, rows: Rows) -> Mask:
    """Which rows go to a port by which a host is worked on from another."""
    told: Mask = IS_REMOTE[batch.port[rows] & 0xFFFF]
    return told


def peer_hashes(batch: EventBatch, key: int) -> Hashes:
    """[texts] the hash in `Ends` of each peer in the batch's table, but over remote ports."""
    return _cut(hash_whole(batch.peer.values, key) ^ _PEER)


def grouped(hashes: Array, arrays: Arrays) -> Groups:
    """At most 2**20 rows by their hashes of 44 bits: hash and row are one number, which sorts fastest."""
    xp = arrays.xp
    count = len(hashes)
    keys = xp.sort((hashes << xp.uint64(_ROW)) | xp.arange(count, dtype=xp.uint64))
    order = (keys & xp.uint64((1 << _ROW) - 1)).astype(xp.int64)
    keys >>= xp.uint64(_ROW)
    first = xp.ones(count, bool)
    first[1:] = keys[1:] != keys[:-1]
    starts, past = xp.flatnonzero(first), xp.ones(count, bool)
    past[:-1] = first[1:]
    of_row = xp.empty(count, xp.int64)
    of_row[order] = xp.cumsum(first) - 1
    return Groups(keys[starts], of_row, order, starts, xp.flatnonzero(past))


def _hashed(words: Words, rows: Rows, key: int, end: np.uint64) -> Hashes:
    hashes: Hashes = hash_whole(words.values, key)[words.codes[rows]] ^ end
    return hashes


def _cut(hashes: Hashes) -> Hashes:
    short: Hashes = hashes >> np.uint64(_ROW)
    short |= short == 0
    return short
