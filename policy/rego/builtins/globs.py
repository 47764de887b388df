r"""Glob patterns (gobwas/glob 1.0, which OPA uses): `*` within a part, `**` across parts, `?`, `[a-z]`, `[!abc]`,
`{one,two}`, and `\` before what shall mean itself. They are matched as regular expressions, by RE2.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from policy.rego.builtins.operands import legible
from policy.rego.builtins.regexes import compiled
from policy.rego.values import UNDEFINED


def match(pattern: Any, delimiters: Any, text: Any) -> Any:
    """Whether the whole text matches. Delimiters: an array of characters; empty means `.`, null means none."""
    if type(pattern) is not str or type(text) is not str or type(delimiters) not in (list, type(None)):
        return UNDEFINED
    if delimiters is not None and not all(type(one) is str and len(one) == 1 for one in delimiters):
        return UNDEFINED
    marks = "" if delimiters is None else legible("".join(delimiters)) or "."
    translated = _translated(pattern, marks)
    if translated is None:
        return UNDEFINED
    found = compiled(translated)
    return UNDEFINED if found is UNDEFINED else found.fullmatch(legible(text).encode()) is not None


def quote_meta(pattern: Any) -> Any:
    """The text with a backslash before each character that means something."""
    return re.sub(r"([*?\\\[\]{}])", r"\\\1", pattern) if type(pattern) is str else UNDEFINED


@lru_cache(maxsize=1024)
def _translated(pattern: str, marks: str) -> str | None:
    try:
        return f"(?s){_Translation(pattern, marks).regex()}"
    except (ValueError, IndexError):
        return None


class _Translation:
    """A glob as a regular expression. Raises ValueError or IndexError if it is none."""

    def __init__(self, pattern: str, marks: str):
        self._pattern = pattern
        self._one = f"[^{_listed(marks)}]" if marks else "."
        self._at = 0
        self._depth = 0

    def regex(self) -> str:
        parts = []
        while self._at < len(self._pattern):
            parts.append(self._next())
        if self._depth:
            raise ValueError("unclosed {")
        return "".join(parts)

    def _read(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _next(self) -> str:
        char = self._read()
        match char:
            case "*":
                return self._star()
            case "?":
                return self._one
            case "[":
                return self._class()
            case "\\":
                return re.escape(self._read())
            case "{":
                self._depth += 1
                return "(?:"
            case "}" if self._depth:
                self._depth -= 1
                return ")"
            case "," if self._depth:
                return "|"
        return re.escape(char)

    def _star(self) -> str:
        if self._pattern.startswith("*", self._at):
            self._at += 1
            return ".*"
        return f"{self._one}*"

    def _class(self) -> str:
        """After `[`. A backslash is itself in a range, and an escape in a list."""
        negated = "^" if self._pattern.startswith("!", self._at) else ""
        self._at += len(negated)
        inside = self._range() if self._pattern.startswith("-", self._at + 1) else self._list()
        if self._read() != "]":
            raise ValueError("unclosed [")
        return f"[{negated}{inside}]"

    def _range(self) -> str:
        low, _, high = self._read(), self._read(), self._read()
        if high < low:
            raise ValueError("range upside down")
        return f"{_listed(low)}-{_listed(high)}"

    def _list(self) -> str:
        chars = []
        while (char := self._read()) != "]":
            chars.append(self._read() if char == "\\" else char)
        if not chars:
            raise ValueError("nothing between [ and ]")
        self._at -= 1
        return _listed("".join(chars))


def _listed(chars: str) -> str:
    """Characters as they stand in a regular expression's class."""
    return re.sub(r"([\\\]\[^-])", r"\\\1", chars)


BUILTINS = {"glob.match": match, "glob.quote_meta": quote_meta}
