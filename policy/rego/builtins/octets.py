"""Text and octets, converted as Go does it: what is no UTF-8 becomes U+FFFD, base64 may hold line breaks."""

from __future__ import annotations

import binascii
import codecs

_REPLACE = "rego-replace"
_URL_SAFE = str.maketrans("-_+/", "+/**")  # the standard alphabet's own two are foreign to the other


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, (UnicodeDecodeError, UnicodeEncodeError)):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_REPLACE, _replaced)


def octets(text: str) -> bytes:
    """UTF-8 of a text."""
    return text.encode("utf-8", _REPLACE)


def text(octets: bytes) -> str:
    """Text of UTF-8."""
    return octets.decode("utf-8", _REPLACE)


def from_base64(encoded: str) -> bytes:
    """Octets of padded base64 (RFC 4648, section 4). Raises ValueError."""
    return binascii.a2b_base64(encoded.replace("\r", "").replace("\n", ""), strict_mode=True)


def from_base64url(encoded: str) -> bytes:
    """Octets of base64url (RFC 4648, section 5), padded or not. Raises ValueError."""
    padding = "" if encoded.endswith("=") else ("", "*", "==", "=")[len(octets(encoded)) % 4]
    return from_base64((encoded + padding).translate(_URL_SAFE))
