"""An issuer's keys (RFC 7517), as one value: which key a token may name, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.identity.jwk import PublicKey, public_key
from gateway.identity.refusal import Refusal

LONGEST_ID: Final = 256  # characters of a kid
_MOST: Final = 100  # keys of one issuer
_UNKNOWN: Final = Refusal("invalid_token", "unknown key")


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """The token names a key that is not known yet: fetch the issuer's keys and ask again. Where that does not help,
    `otherwise` is the answer.
    """

    issuer: str
    otherwise: Refusal = field(default=_UNKNOWN, compare=False)


class KeySet:
    """Public keys by id and algorithm, immutable. A key without an id is known by its thumbprint.

    Several keys may share an id if each serves other algorithms (RFC 7517 section 4.5). Where two could serve one
    algorithm, nobody can say which of them is meant, and neither serves it.
    """

    def __init__(self, keys: Iterable[PublicKey] = (), missing: str = "", unusable: int = 0) -> None:
        self.missing = missing  # why there are no keys, if that has a reason
        self.unusable = unusable  # entries that are no keys for signatures, or not fit to be
        self.all = tuple(keys)
        self._keys: dict[tuple[str, str], PublicKey | None] = {}
        for key in self.all:
            for algorithm in key.algorithms:
                self._add((key.kid or key.thumbprint, algorithm), key)

    @classmethod
    def parse(cls, document: Any) -> KeySet:
        """Read a JWKS. Unusable keys are skipped; raises ValueError if it is no JWKS, or has more than 100 keys."""
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ValueError("not a JWKS: no list of keys")
        if len(entries) > _MOST:
            raise ValueError(f"a JWKS of more than {_MOST} keys")
        usable = [key for key in map(public_key, entries) if key is not None]
        return cls(usable, unusable=len(entries) - len(usable))

    def key(self, kid: str, algorithm: str) -> PublicKey | None:
        """The key that a token means by `kid`, if it is one for that algorithm."""
        return self._keys.get((kid, algorithm))

    def holds(self, thumbprint: str) -> bool:
        """Whether a key is among them, under whatever id."""
        return any(key is not None and key.thumbprint == thumbprint for key in self._keys.values())

    def _add(self, name: tuple[str, str], key: PublicKey) -> None:
        other = self._keys.setdefault(name, key)
        if other is None or other.thumbprint != key.thumbprint:
            self._keys[name] = None

    def __contains__(self, kid: object) -> bool:
        return any(known == kid for known, _ in self._keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeySet) and self._content() == other._content()

    __hash__ = None  # type: ignore[assignment]  # compared, never a key

    def _content(self) -> tuple[str, dict[tuple[str, str], str]]:
        return self.missing, {name: key.thumbprint if key else "" for name, key in self._keys.items()}
