"""Nonces that the server wants to see in proofs (RFC 9449 sections 8 and 9), without a memory of those it gave out."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode

_BYTES = 18  # 144 bits of MAC: 24 characters, without padding


class Nonces:
    """A nonce is the MAC of a window of time: the same for everybody within it, and nobody can compute a later one.

    A proof with a fresh nonce was made within the last two windows, whatever its maker's clock says. Gateways that
    share the key accept each other's. `key` is 32 random bytes; `window` is in seconds.
    """

    def __init__(self, key: bytes, window: float) -> None:
        self._key = key
        self._window = window

    def issue(self, now: float) -> str:
        """The nonce of the window that `now` (Unix seconds) lies in, for a DPoP-Nonce header."""
        return self._of(int(now // self._window))

    def fresh(self, nonce: str, now: float) -> bool:
        """Whether it is the nonce of this window or of the one before."""
        number, shown = int(now // self._window), nonce.encode(errors="replace")
        current, previous = self._of(number).encode(), self._of(number - 1).encode()
        return hmac.compare_digest(shown, current) | hmac.compare_digest(shown, previous)

    def _of(self, number: int) -> str:
        digest = hmac.digest(self._key, number.to_bytes(8, signed=True), hashlib.sha256)
        return urlsafe_b64encode(digest[:_BYTES]).decode()
