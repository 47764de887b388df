"""Base64 and hexadecimal encodings of text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from policy.rego.builtins.octets import from_base64, from_base64url
from policy.rego.builtins.operands import octets, text_of
from policy.rego.builtins.strings import texts
from policy.rego.values import UNDEFINED


def _decoder(decode: Callable[[str], bytes]) -> Callable[[Any], Any]:
    def builtin(text: Any) -> Any:
        if type(text) is not str:
            return UNDEFINED
        try:
            return text_of(decode(text))
        except ValueError:
            return UNDEFINED

    return builtin


_decode = _decoder(from_base64)

BUILTINS = {
    "base64.encode": texts(lambda text: base64.b64encode(octets(text)).decode()),
    "base64.decode": _decode,
    "base64.is_valid": lambda text: _decode(text) is not UNDEFINED,
    "base64url.encode": texts(lambda text: base64.urlsafe_b64encode(octets(text)).decode()),
    "base64url.encode_no_pad": texts(lambda text: base64.urlsafe_b64encode(octets(text)).decode().rstrip("=")),
    "base64url.decode": _decoder(from_base64url),
    "hex.encode": texts(lambda text: octets(text).hex()),
    "hex.decode": _decoder(binascii.unhexlify),
}
