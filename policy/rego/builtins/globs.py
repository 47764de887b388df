"""Glob patterns: `*` within a part, `**` across parts, `?`, `[a-z]`, `[!a-z]`, `{one,two}`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from policy.rego.builtins.regexes import compiled
from policy.rego.values import UNDEFINED


def match(pattern: Any, delimiters: Any, text: Any) -> Any:
    """Whether the whole text matches. Delimiters: an array of characters; empty means `.`, null means none."""
    if type(pattern) is not str or type(text) is not str or type(delimiters) not in (list, type(None)):
        return UNDEFINED
    if delimiters is not None and not all(type(one) is str and len(one) == 1 for one in delimiters):
        return UNDEFINED
    marks = "" if delimiters is None else "".join(delimiters) or "."
    translated = _translated(pattern, marks)
    if translated is None:
        return UNDEFINED
    found = compiled(translated)
    return UNDEFINED if found is UNDEFINED else found.fullmatch(text.encode()) is not None


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
        self._one = f"[^{re.escape(marks)}]" if marks else "."
        self._at = 0
        self._depth = 0

    def regex(self) -> str:
        parts = []
        while self._at < len(self._pattern):
            parts.append(self._next())
        if self._depth:
            raise ValueError("unclosed {")
        return "".join(parts)

    def _next(self) -> str:
        char = self._pattern[self._at]
        self._at += 1
        match char:
            case "*":
                return self._star()
            case "?":
                return self._one
            case "[":
                return self._range()
            case "\\":
                self._at += 1
                return re.escape(self._pattern[self._at - 1])
            case "{":
                self._depth += 1
                return "(?:"
            case "}" if self._depth:
                self._depth -= 1
                return ")"
            case ",":
                return "|" if self._depth else ","
        return re.escape(char)

    def _star(self) -> str:
        if self._pattern.startswith("*", self._at):
            self._at += 1
            return ".*"
        return f"{self._one}*"

    def _range(self) -> str:
        end = self._pattern.index("]", self._at + 1)
        inside = self._pattern[self._at : end]
        self._at = end + 1
        negated, inside = inside.startswith("!"), inside.removeprefix("!")
        escaped = inside.replace("\\", r"\\").replace("^", r"\^").replace("[", r"\[")
        return f"[{'^' if negated else ''}{escaped}]"


BUILTINS = {"glob.match": match, "glob.quote_meta": quote_meta}
