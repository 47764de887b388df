"""Literals of Go templates: texts with Go's escapes, characters, and numbers without `_`."""

from __future__ import annotations

import re
from typing import Any

from policy.rego.builtins.operands import octets, text_of
from policy.rego.builtins.templates.lexer import Token

_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))", re.DOTALL
)
_SIMPLE = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))


def literal(token: Token) -> Any:
    """A token's value. Raises ValueError."""
    if token.kind == "raw":
        return token.text[1:-1].replace("\r", "")
    if token.kind == "string":
        return _unquoted(token.text[1:-1], '"')
    if token.kind == "char":
        char = _unquoted(token.text[1:-1], "'")
        if len(char) != 1:
            raise ValueError("malformed character")
        return ord(char)
    return _number(token.text)


def _unquoted(text: str, quote: str) -> str:
    """Go's escapes; those of bytes are of bytes. Raises ValueError."""

    def char(found: re.Match[str]) -> bytes:
        simple, byte, short, long, octal, other = found.groups()
        if other is not None or (simple in ("'", '"') and simple != quote) or (octal and int(octal, 8) > 255):
            raise ValueError("unknown escape")
        if simple:
            return octets(_SIMPLE[simple])
        if byte or octal:
            return bytes([int(byte, 16) if byte else int(octal, 8)])
        return chr(int(short or long, 16)).encode()

    parts, last = [], 0
    for found in _ESCAPE.finditer(text):
        parts += [octets(text[last : found.start()]), char(found)]
        last = found.end()
    return text_of(b"".join([*parts, octets(text[last:])]))


def _number(text: str) -> int | float:
    digits = text.lstrip("+-")
    if any(mark in digits.lower() for mark in ".e") and digits[:2].lower() != "0x":
        return float(text)
    value = int(text, 8) if digits[:1] == "0" and digits.isdigit() else int(text, 0)
    if not -1 << 63 <= value < 1 << 63:
        raise ValueError("integer too large")
    return value
