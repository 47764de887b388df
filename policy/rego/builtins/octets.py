"""Octets of base64, read as Go reads it: line breaks are skipped."""

from __future__ import annotations

import binascii
import re

from policy.rego.builtins.operands import octets

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_URL_SAFE = str.maketrans("-_+/", "+/**")  # the standard alphabet's own two are foreign to the other


def from_base64(encoded: str) -> bytes:
    """Octets of padded base64 (RFC 4648, section 4). Raises ValueError."""
    joined = encoded.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(joined):
        raise ValueError("not base64")
    return binascii.a2b_base64(joined)


def from_base64url(encoded: str) -> bytes:
    """Octets of base64url (RFC 4648, section 5), padded or not. Raises ValueError."""
    padding = "" if encoded.endswith("=") else ("", "*", "==", "=")[len(octets(encoded)) % 4]
    return from_base64((encoded + padding).translate(_URL_SAFE))
