"""`regex.globs_match`: whether some text matches two globs of characters, `.` and `[a-z]`, each with `*`, `+` or none.

The answers are those of OPA's library (glob-intersection), which is cautious: where a repeated part could match
nothing, it does not look at all the ways. What has been tried is remembered, so time is bounded by the lengths.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from policy.rego.values import UNDEFINED

MAX_REPEATS = 100  # of both globs together; more is undefined
Ranges = tuple[tuple[int, int], ...]


class Token(NamedTuple):
    """Characters ("." for any, "c" for one, "[" for a set), and how often: "", "+" or "*"."""

    kind: str
    ranges: Ranges
    flag: str


def globs_match(one: Any, other: Any) -> Any:
    """Whether some text matches both."""
    if type(one) is not str or type(other) is not str:
        return UNDEFINED
    try:
        first, second = _simplified(_tokens(one)), _simplified(_tokens(other))
    except ValueError:
        return UNDEFINED
    if sum(bool(token.flag) for token in (*first, *second)) > MAX_REPEATS:
        return UNDEFINED
    trimmed = _trimmed(first, second)
    return trimmed is not None and _Search(*trimmed).plain(0, 0, 0)


def _tokens(glob: str) -> list[Token]:
    reader, tokens = _Reader(glob), []
    while not reader.ended():
        char, escaped = reader.char()
        if escaped or char not in ".[]+*":
            tokens.append(Token("c", ((ord(char), ord(char)),), reader.flag()))
        elif char == ".":
            tokens.append(Token(".", (), reader.flag()))
        elif char == "[":
            tokens.append(Token("[", reader.set(), reader.flag()))
        else:
            raise ValueError(f"unexpected {char}")
    return tokens


class _Reader:
    """Raises ValueError where the glob is none."""

    def __init__(self, glob: str):
        self._glob = glob
        self._at = 0

    def ended(self) -> bool:
        return self._at >= len(self._glob)

    def char(self) -> tuple[str, bool]:
        escaped = self._glob[self._at : self._at + 1] == "\\"
        self._at += 1 + escaped
        if self._at > len(self._glob):
            raise ValueError("unexpected end")
        return self._glob[self._at - 1], escaped

    def flag(self) -> str:
        if self._glob[self._at :] == "\\":
            raise ValueError("unexpected end")
        flag = self._glob[self._at : self._at + 1]
        self._at += flag in ("+", "*")
        return flag if flag in ("+", "*") else ""

    def set(self) -> Ranges:
        ranges: list[tuple[int, int]] = []
        before = ""
        while True:
            char, escaped = self.char()
            if char == "]" and not escaped:
                return _joined(ranges)
            if char == "-" and not escaped:
                ranges.append((ord(before or "-"), ord(self._until(before))))
                before = ""
            else:
                ranges.append((ord(char), ord(char)))
                before = char

    def _until(self, before: str) -> str:
        if not before or self._at >= len(self._glob) - 1:
            raise ValueError("range without an end")
        char, escaped = self.char()
        if char < before or (char in "]-" and not escaped):
            raise ValueError("range without an end")
        return char


def _joined(ranges: list[tuple[int, int]]) -> Ranges:
    """The same characters, each once."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return tuple(joined)


def _simplified(tokens: list[Token]) -> list[Token]:
    simple: list[Token] = []
    for token in tokens:
        last = simple[-1] if simple else None
        if last and last.flag and token.flag and last[:2] == token[:2]:
            simple[-1] = last._replace(flag="+" if "+" in (last.flag, token.flag) else "*")
        else:
            simple.append(token)
    return simple


def _common(one: Token, other: Token) -> bool:
    if "." in (one.kind, other.kind):
        return True
    return any(low <= top and bottom <= high for low, high in one.ranges for bottom, top in other.ranges)


def _trimmed(one: list[Token], other: list[Token]) -> tuple[list[Token], list[Token]] | None:
    """Both without what is plain at their ends and matches, one of it kept; None if some does not match."""
    start = 0
    while start < min(len(one), len(other)) and not one[start].flag and not other[start].flag:
        if not _common(one[start], other[start]):
            return None
        start += 1
    start = max(start - 1, 0)
    end, stop = len(one), len(other)
    while min(end, stop) > start and not one[end - 1].flag and not other[stop - 1].flag:
        if not _common(one[end - 1], other[stop - 1]):
            return None
        end, stop = end - 1, stop - 1
    kept = end < len(one)
    return one[start : end + kept], other[start : stop + kept]


class _Search:
    """Positions in the two globs; `side` says which of them comes first."""

    def __init__(self, one: list[Token], other: list[Token]):
        self._globs = (one, other)
        self._known: dict[tuple[int, int, int], bool] = {}

    def plain(self, side: int, at: int, to: int) -> bool:
        one, other = self._globs[side], self._globs[1 - side]
        while at < len(one) and to < len(other):
            if one[at].flag:
                return self._repeated(side, at, to)
            if other[to].flag:
                return self._repeated(1 - side, to, at)
            if not _common(one[at], other[to]):
                return False
            at, to = at + 1, to + 1
        return at == len(one) and to == len(other)

    def _repeated(self, side: int, at: int, to: int) -> bool:
        known = self._known.get((side, at, to))
        if known is None:
            known = self._known[side, at, to] = self._decided(side, at, to)
        return known

    def _decided(self, side: int, at: int, to: int) -> bool:
        one, other = self._globs[side], self._globs[1 - side]
        if one[at].flag == "*":
            return self._starred(side, at, to)
        if not _common(one[at], other[to]):
            return False
        return self._starred(side, at, to + 1) or (bool(other[to].flag) and self.plain(side, at + 1, to))

    def _starred(self, side: int, at: int, to: int) -> bool:
        one, other = self._globs[side], self._globs[1 - side]
        after = one[at + 1] if at + 1 < len(one) else None
        for here in range(to, len(other)):
            if after and _common(other[here], after) and self.plain(side, at + 1, here):
                return True
            if not _common(other[here], one[at]):
                return False
        return after is None


BUILTINS = {"regex.globs_match": globs_match}
