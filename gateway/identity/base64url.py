"""Base64url without padding (RFC 7515 section 2), in its one spelling."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode(octets: bytes) -> str:
    """The text of some bytes."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of a text as an encoder writes it. Raises ValueError for any other spelling."""
    try:
        decoded = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from None
    if encode(decoded) != text:
        raise ValueError("base64url with bits left over")
    return decoded
