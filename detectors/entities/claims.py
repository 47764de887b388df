"""Which events say who is where, and how well they know it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.features.hashing import Hashes, hash_rows, mix
from detectors.features.table import known
from telemetry import EventBatch, Kind, Words

ALLOWED = "allow"  # the outcome of a request whose caller proved who it is, and might do what it asked
_UNPROVEN = (401, 16)  # HTTP, gRPC: the service itself did not believe it
_ADDRESS, _HOST = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)  # the same text may be both
Mask = NDArray[np.bool_]


class Claims(NamedTuple):
    """n claims, those on one place in the order of time."""

    rows: NDArray[np.int64]  # [n] of the batch that was read
    places: Hashes  # [n]
    principals: Hashes  # [n]
    sessions: Hashes  # [n] 0 where none is told
    proven: Mask  # [n]
    hosts: Mask  # [n] whether the place is a host

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def pairs(self) -> Hashes:
        """[n] of place and principal."""
        pairs: Hashes = known(mix(self.places) ^ self.principals)
        return pairs


def claims(batch: EventBatch, key: int) -> Claims:
    """What these events claim: requests that were allowed, and reports of a host's own agent, of somebody.

    Who was refused, or proved nothing, claims nothing: a name that somebody tried is not who they are. A host knows who
    uses it; of its address it only tells, for whoever holds a host may say anything of an address.
    """
    requests, reports = allowed(batch), batch.kind == Kind.ENDPOINT
    somebody = _told(batch.actor)
    at_address = np.flatnonzero(somebody & (requests | reports) & _told(batch.address))
    at_host = np.flatnonzero(somebody & reports & _told(batch.peer))
    rows = np.concatenate([at_address, at_host])
    hosts = np.arange(len(rows)) >= len(at_address)
    places = np.concatenate(
        [place_hashes(batch.address, at_address, key, host=False), place_hashes(batch.peer, at_host, key, host=True)]
    )
    sessions = hash_rows(batch.session, rows, key) * _told(batch.session)[rows]
    return Claims(rows, places, hash_rows(batch.actor, rows, key), sessions, requests[rows] | hosts, hosts)


def allowed(batch: EventBatch) -> Mask:
    """Which rows are requests that were let through."""
    outcome = batch.outcome
    let = np.fromiter(map(ALLOWED.__eq__, outcome.values), np.bool_, len(outcome.values))[outcome.codes]
    requests: Mask = let & (batch.kind == Kind.REQUEST) & ~np.isin(batch.status, _UNPROVEN)
    return requests


def place_hashes(words: Words, rows: NDArray[np.int64], key: int, *, host: bool) -> Hashes:
    """[rows] of the addresses, or hosts, in a column."""
    hashes: Hashes = known(hash_rows(words, rows, key) ^ (_HOST if host else _ADDRESS))
    return hashes


def _told(words: Words) -> Mask:
    told: Mask = (words.values.lengths > 0)[words.codes]
    return told
