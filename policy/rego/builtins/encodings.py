"""Base64, hexadecimal and URL encodings of text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus, unquote_to_bytes

from policy.rego.builtins.strings import texts
from policy.rego.values import UNDEFINED


def _decoder(decode: Callable[[str], bytes]) -> Callable[[Any], Any]:
    def builtin(text: Any) -> Any:
        if type(text) is not str:
            return UNDEFINED
        try:
            return decode(text).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return UNDEFINED

    return builtin


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _base64url(text: str) -> bytes:
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", validate=True)


def _url(text: str) -> bytes:
    if "%" in text and not all(len(part) >= 2 and int(part[:2], 16) >= 0 for part in text.split("%")[1:]):
        raise ValueError("incomplete escape")
    return unquote_to_bytes(text.replace("+", " "))


_decode = _decoder(_base64)

BUILTINS = {
    "base64.encode": texts(lambda text: base64.b64encode(text.encode()).decode()),
    "base64.decode": _decode,
    "base64.is_valid": texts(lambda text: _decode(text) is not UNDEFINED),
    "base64url.encode": texts(lambda text: base64.urlsafe_b64encode(text.encode()).decode()),
    "base64url.encode_no_pad": texts(lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")),
    "base64url.decode": _decoder(_base64url),
    "hex.encode": texts(lambda text: text.encode().hex()),
    "hex.decode": _decoder(bytes.fromhex),
    "urlquery.encode": texts(lambda text: quote_plus(text, safe="~")),
    "urlquery.decode": _decoder(_url),
}
