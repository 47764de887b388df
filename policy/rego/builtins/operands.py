"""How builtins read numbers and texts as arguments.

Texts are Unicode here and bytes in OPA. What decodes to bytes that are no UTF-8 (`hex.decode`, `base64.decode`) holds
each such byte as one of U+DC80 to U+DCFF (PEP 383), so that nothing is lost when it is encoded again.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from policy.rego import numerals
from policy.rego.values import UNDEFINED

MAX_ELEMENTS = 1_000_000  # a larger collection as a result is undefined
MAX_LENGTH = 16 * 1024 * 1024  # so is a longer text
_LONE = re.compile("[\ud800-\udfff]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def integer(value: Any) -> Any:
    """The 64-bit integer that OPA reads in a number (2 and 2.00, but not 2e0), or undefined."""
    if type(value) is not int and type(value) is not float and not isinstance(value, Decimal):
        return UNDEFINED
    found = numerals.small(value)
    return UNDEFINED if found is None else found


def octets(text: str) -> bytes:
    """UTF-8 of a text; a lone surrogate that stands for no byte becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _NO_BYTE.sub("\ufffd", text).encode("utf-8", "surrogateescape")


def text_of(data: bytes) -> str:
    """The text that UTF-8 holds."""
    return data.decode("utf-8", "surrogateescape")


def legible(text: str) -> str:
    """The text with U+FFFD for each character that is none, as OPA reads such bytes."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)
