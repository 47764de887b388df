"""Key directories of agents (the Web Bot Auth drafts): a JWKS at a well-known place, each key by its thumbprint."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.identity.jwk import PublicKey, public_key
from gateway.identity.jws import object_of

WELL_KNOWN = "/.well-known/http-message-signatures-directory"
MEDIA_TYPE = "application/http-message-signatures-directory+json"
_MOST = 256  # keys of one directory


class _Entry(msgspec.Struct, frozen=True):
    key: PublicKey
    not_before: float  # Unix seconds
    expires: float  # Unix seconds


class Directory:
    """The keys of one origin, immutable."""

    def __init__(self, entries: tuple[_Entry, ...] = ()) -> None:
        self._entries = entries

    @classmethod
    def parse(cls, document: bytes) -> Directory:
        """Read a directory. Unusable keys are skipped; raises ValueError if it is none at all, or too large."""
        keys = object_of(document).get("keys")
        if not isinstance(keys, list) or len(keys) > _MOST:
            raise ValueError(f"no key directory: no list of at most {_MOST} keys")
        return cls(tuple(entry for key in keys if (entry := _entry(key)) is not None))

    def at(self, now: float) -> dict[str, PublicKey]:
        """The keys that are valid at `now` (Unix seconds), by thumbprint (RFC 7638); what a key calls itself is of no
        account.
        """
        valid = (entry.key for entry in self._entries if entry.not_before <= now < entry.expires)
        return {key.thumbprint: key for key in valid}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directory) and _names(self) == _names(other)

    __hash__ = None  # type: ignore[assignment]  # compared, never a key


def _names(directory: Directory) -> list[tuple[str, frozenset[str], float, float]]:
    return [(e.key.thumbprint, e.key.algorithms, e.not_before, e.expires) for e in directory._entries]


def _entry(key: Any) -> _Entry | None:
    parsed = public_key(key)
    if parsed is None:
        return None
    not_before, expires = key.get("nbf", 0), key.get("exp", float("inf"))
    times = all(isinstance(time, int | float) and not isinstance(time, bool) for time in (not_before, expires))
    return _Entry(parsed, not_before, expires) if times else None
