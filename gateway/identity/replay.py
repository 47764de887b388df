"""What was seen once must not count twice: a bounded store of proofs, each until it would no longer be accepted."""

from __future__ import annotations

import hashlib
from collections import deque

from prometheus_client import Counter

_REFUSED = Counter("portcullis_gateway_replay_refused_total", "Proofs that a replay store refused", ["store", "why"])
_BUCKETS = 8  # into which the longest life is divided; an entry outlives its time by one of them at most
_STEPS = 4  # by which one question frees what ended: none waits for a whole bucket, and each makes room for itself
_DIGEST = 12  # bytes; with a million entries held, one honest key in 10^22 meets the digest of another


class ReplayStore:
    """Says of each key whether it is seen for the first time. Never forgets what still lives: a full store refuses.

    An entry is a keyed digest, so nobody can aim one key at another's. A million entries take 85 MB, whatever the keys'
    lengths, and a question takes the same few microseconds, however many there are.

    `name` labels the metrics; `capacity` counts entries; `longest` is the most seconds that an entry may live; `secret`
    (16 to 64 random bytes) keys the digests.
    """

    def __init__(self, name: str, capacity: int, longest: float, secret: bytes) -> None:
        self._capacity = capacity
        self._longest = longest
        self._width = longest / _BUCKETS
        self._secret = secret
        self._live: dict[int, set[bytes]] = {}  # by end, in widths
        self._ended: deque[set[bytes]] = deque()
        self._forgotten = -1  # the last bucket that ended
        self._held = 0
        self._refused = {why: _REFUSED.labels(name, why) for why in ("replayed", "late", "full")}

    def __len__(self) -> int:
        return self._held

    def first(self, key: bytes, until: float, now: float) -> bool | None:
        """True for a key that was not seen before, to be remembered `until` (both Unix seconds). False for a replay,
        and for a key whose life is over, too long, or so old that it may be forgotten: whatever steps the clock makes,
        a key with the same end never counts twice. None where the store is full.
        """
        self._end(int(now // self._width))
        bucket = int(until // self._width) if now <= until <= now + self._longest else -1
        if bucket <= self._forgotten:
            return self._no("late")
        digest = self._digest(key)
        if any(digest in seen for seen in self._live.values()):
            return self._no("replayed")
        if self._held >= self._capacity:
            self._refused["full"].inc()
            return None
        self._live.setdefault(bucket, set()).add(digest)
        self._held += 1
        return True

    def holds(self, key: bytes) -> bool:
        """Whether a key is remembered."""
        digest = self._digest(key)
        return any(digest in seen for seen in self._live.values())

    def forget(self, key: bytes) -> None:
        """What was to happen with a key did not: it counts as never seen."""
        digest = self._digest(key)
        for seen in self._live.values():
            if digest in seen:
                seen.remove(digest)
                self._held -= 1
                return

    def _digest(self, key: bytes) -> bytes:
        return hashlib.blake2b(key, digest_size=_DIGEST, key=self._secret).digest()

    def _no(self, why: str) -> bool:
        self._refused[why].inc()
        return False

    def _end(self, current: int) -> None:
        """End the buckets before the current one, and free a few entries of ended ones."""
        for number in [number for number in self._live if number < current]:
            self._ended.append(self._live.pop(number))
            self._forgotten = max(self._forgotten, number)
        for _ in range(_STEPS):
            if self._ended and self._ended[0]:
                self._ended[0].pop()
                self._held -= 1
            elif self._ended:
                self._ended.popleft()
