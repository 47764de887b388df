"""Base64 and hexadecimal encodings of text."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from policy.rego.builtins.operands import octets, text_of
from policy.rego.builtins.strings import texts
from policy.rego.values import UNDEFINED

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_STANDARD = str.maketrans("-_+/", "+/**")  # the standard alphabet's own two are foreign to the other


def _base64(text: str) -> bytes:
    """Octets of padded base64 (RFC 4648, section 4), line breaks ignored. Raises ValueError."""
    joined = text.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(joined):
        raise ValueError("not base64")
    return binascii.a2b_base64(joined)


def _base64url(text: str) -> bytes:
    """Octets of base64url (RFC 4648, section 5), padded or not. Raises ValueError."""
    padding = "" if text.endswith("=") else ("", "*", "==", "=")[len(octets(text)) % 4]
    return _base64((text + padding).translate(_STANDARD))


def _decoder(decode: Callable[[str], bytes]) -> Callable[[Any], Any]:
    def builtin(text: Any) -> Any:
        if type(text) is not str:
            return UNDEFINED
        try:
            return text_of(decode(text))
        except ValueError:
            return UNDEFINED

    return builtin


_decode = _decoder(_base64)

BUILTINS = {
    "base64.encode": texts(lambda text: base64.b64encode(octets(text)).decode()),
    "base64.decode": _decode,
    "base64.is_valid": lambda text: _decode(text) is not UNDEFINED,
    "base64url.encode": texts(lambda text: base64.urlsafe_b64encode(octets(text)).decode()),
    "base64url.encode_no_pad": texts(lambda text: base64.urlsafe_b64encode(octets(text)).decode().rstrip("=")),
    "base64url.decode": _decoder(_base64url),
    "hex.encode": texts(lambda text: octets(text).hex()),
    "hex.decode": _decoder(binascii.unhexlify),
}
