"""Tokens that are used again, by what they say; and by whom they speak of, so that a signal finds them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import msgspec

_OVERHEAD = 1536  # bytes of an entry beside its texts, rounded up from what was measured with one actor


class Minted(msgspec.Struct, frozen=True, gc=False):
    """A signed token, and until when it serves."""

    token: str
    expires: float  # Unix seconds: its exp
    serves_until: float  # Unix seconds: then another is minted


class Remembered:
    """At most `room` bytes of them, as each entry is counted. When full, the oldest is forgotten: it would have been
    the first to be minted again anyway.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._taken = 0
        self._minted: dict[Hashable, tuple[Minted, tuple[str, ...]]] = {}
        self._about: dict[str, set[Hashable]] = {}

    def __len__(self) -> int:
        return len(self._minted)

    def get(self, says: Hashable) -> Minted | None:
        """The token that says this, whether it still serves or not."""
        known = self._minted.get(says)
        return known[0] if known else None

    def put(self, says: Hashable, about: Iterable[str], minted: Minted) -> None:
        """Remember a token that speaks of these principals, in place of the one that said the same."""
        self._drop(says)
        ids = tuple(set(about))
        self._minted[says] = (minted, ids)
        self._taken += _size(minted)
        for one in ids:
            self._about.setdefault(one, set()).add(says)
        while self._taken > self._room:
            self._drop(next(iter(self._minted)))

    def forget(self, principal: str) -> None:
        """Forget every token that speaks of a principal, as subject or as actor."""
        for says in tuple(self._about.get(principal, ())):
            self._drop(says)

    def clear(self) -> None:
        """Forget all."""
        self._minted.clear()
        self._about.clear()
        self._taken = 0

    def _drop(self, says: Hashable) -> None:
        known = self._minted.pop(says, None)
        if known is None:
            return
        minted, ids = known
        self._taken -= _size(minted)
        for one in ids:
            self._about[one].discard(says)
            if not self._about[one]:
                del self._about[one]


def _size(minted: Minted) -> int:
    return 2 * len(minted.token) + _OVERHEAD  # what it says is held twice: signed, and to find it by
