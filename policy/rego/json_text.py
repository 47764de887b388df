"""JSON text to Rego values and back (RFC 8259), without loss: numbers keep their text, as OPA keeps it."""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import Any, Final

from policy.rego import numerals
from policy.rego.values import MAX_DEPTH, RegoSet, scan

MAX_LENGTH: Final = 16 * 1024 * 1024  # characters of text written
_NEGATIVE_ZERO: Final = re.compile(r"-0(?![.eE0-9])")
_LONE: Final = re.compile("[\ud800-\udfff]")
_ESCAPED: Final = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def decode(text: str | bytes) -> Any:
    """The value of a JSON text. What is no Unicode becomes U+FFFD, the last of equal keys wins. Raises ValueError for
    what is no JSON, for numbers too large, and for more than MAX_DEPTH objects and arrays in one another.
    """
    if isinstance(text, bytes):
        text = _unicode(text)
    integer = numerals.integer if "-0" in text and _NEGATIVE_ZERO.search(text) else None
    try:
        value = json.loads(text, parse_float=numerals.decimal, parse_int=integer, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("too deep") from None
    if text.count("{") + text.count("[") > MAX_DEPTH and _deep(value):
        raise ValueError("too deep")
    return _legible(value) if _lone_surrogates(text) else value


def valid(text: str) -> bool:
    """Whether it is JSON, with numbers of any size."""
    try:
        json.loads(text, parse_float=str, parse_int=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def encode(value: Any, prefix: str = "", indent: str | None = None) -> str:
    """JSON text of a value, with keys in order and no spaces; with an indent, one element a line, and the prefix before
    each line but the first. Raises ValueError if it is longer than MAX_LENGTH.
    """
    writer = _Writer(indent)
    writer.write(value, "" if indent is None else f"\n{prefix}")
    return "".join(writer.parts)


def _unicode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _LONE.sub("\ufffd", data.decode("utf-8", "surrogateescape"))  # one for each byte


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [one for one in level if type(one) is dict or type(one) is list]
        level = [held for one in level for held in (one.values() if type(one) is dict else one)]
    return any(type(one) is dict or type(one) is list for one in level)


def _lone_surrogates(text: str) -> bool:
    return "\\ud" in text or "\\uD" in text or (not text.isascii() and _LONE.search(text) is not None)


def _legible(value: Any) -> Any:
    if type(value) is str:
        return _LONE.sub("\ufffd", value)
    if type(value) is list:
        return [_legible(held) for held in value]
    if type(value) is dict:
        return {_LONE.sub("\ufffd", item): _legible(held) for item, held in value.items()}
    return value


class _Writer:
    """Collects the parts of a text. `line` is what begins a line: nothing, or a line feed and the indent."""

    def __init__(self, indent: str | None):
        self.parts: list[str] = []
        self._length = 0
        self._indent = indent or ""
        self._colon = ":" if indent is None else ": "

    def write(self, value: Any, line: str) -> None:
        if type(value) is dict:
            self._object(value, line)
        elif type(value) is list or type(value) is RegoSet:
            self._array(value, line)
        else:
            self._put(_scalar(value))

    def _object(self, value: dict[Any, Any], line: str) -> None:
        members = {name if type(name) is str else encode(name): held for name, held in scan(value)}
        inner = line + self._indent
        for at, name in enumerate(sorted(members)):
            self._put(f"{',' if at else '{'}{inner}{_scalar(name)}{self._colon}")
            self.write(members[name], inner)
        self._put(f"{line}}}" if members else "{}")

    def _array(self, value: list[Any] | RegoSet, line: str) -> None:
        inner = line + self._indent
        for at, held in enumerate(value):
            self._put(f"{',' if at else '['}{inner}")
            self.write(held, inner)
        self._put(f"{line}]" if len(value) else "[]")

    def _put(self, part: str) -> None:
        self._length += len(part)
        if self._length > MAX_LENGTH:
            raise ValueError("JSON text too long")
        self.parts.append(part)


def _scalar(value: Any) -> str:
    if type(value) is str:
        return _ESCAPED.sub(_escape, encode_basestring(value))
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    return numerals.written(value)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return "\\ufffd" if code >= 0xD800 else f"\\u{code:04x}"
