"""Values as Rego writes them: `{"a": [1, {2}]}`. Text is quoted as Go quotes it."""

from __future__ import annotations

import re
from typing import Any, Final

from policy.rego import numerals
from policy.rego.values import RegoSet, scan

MAX_LENGTH: Final = 16 * 1024 * 1024  # characters
_ESCAPES: Final = dict(zip('\a\b\f\n\r\t\v\\"', ("\\" + one for one in 'abfnrtv\\"'), strict=True))
_SIMPLE: Final = re.compile(r"[ !#-\[\]-~]*")


def shown(value: Any) -> str:
    """Text bare, anything else as Rego writes it. Raises ValueError if it is longer than MAX_LENGTH."""
    return value if type(value) is str else literal(value)


def literal(value: Any) -> str:
    """A value as Rego writes it. Raises ValueError if it is longer than MAX_LENGTH."""
    parts: list[str] = []
    _write(value, parts, [MAX_LENGTH])
    return "".join(parts)


def quoted(text: str, *, ascii_only: bool = False, quote: str = '"') -> str:
    """Text in quotes with Go's escapes; only what is printable stays as it is."""
    if quote == '"' and _SIMPLE.fullmatch(text):
        return f'"{text}"'
    return f"{quote}{''.join(_escaped(one, ascii_only, quote) for one in text)}{quote}"


def _escaped(one: str, ascii_only: bool, quote: str) -> str:
    code = ord(one)
    if one in "\"'":
        return f"\\{one}" if one == quote else one
    if one in _ESCAPES:
        return _ESCAPES[one]
    if one.isprintable() and (code < 128 or not ascii_only):
        return one
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xD800 <= code < 0xE000:  # U+DC80 to U+DCFF stand for bytes that are no UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code < 0xDD00 else "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _write(value: Any, parts: list[str], left: list[int]) -> None:
    if type(value) is dict:
        _members("{", scan(value), "}", parts, left)
    elif type(value) is list:
        _members("[", ((held,) for held in value), "]", parts, left)
    elif type(value) is RegoSet and value.keys:
        _members("{", ((held,) for held in value), "}", parts, left)
    else:
        _put("set()" if type(value) is RegoSet else _scalar(value), parts, left)


def _members(opening: str, members: Any, closing: str, parts: list[str], left: list[int]) -> None:
    _put(opening, parts, left)
    for at, member in enumerate(members):
        for place, one in enumerate(member):
            _put(": " if place else ", " if at else "", parts, left)
            _write(one, parts, left)
    _put(closing, parts, left)


def _put(part: str, parts: list[str], left: list[int]) -> None:
    left[0] -= len(part)
    if left[0] < 0:
        raise ValueError("text too long")
    parts.append(part)


def _scalar(value: Any) -> str:
    if type(value) is str:
        return quoted(value)
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    return numerals.written(value)
