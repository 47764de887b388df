"""Tokens of a Go template: text, and what stands in actions between `{{` and `}}`."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

_SPACE = " \t\r\n"
_OPEN = re.compile(r"\{\{(-(?=[ \t\r\n]))?")
_CLOSE = re.compile(r"[ \t\r\n]*[ \t\r\n]-\}\}|\}\}")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<declare>:=)|(?P<assign>=)|(?P<pipe>\|)|(?P<open>\()|(?P<close>\))
    |(?P<string>"(?:\\[^\n]|[^"\\\n])*")|(?P<raw>`[^`]*`)|(?P<char>'(?:\\[^\n]|[^'\\\n])+')
    |(?P<variable>\$\w*)|(?P<field>\.[^\W\d]\w*)
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|0[oObB][0-7]+|[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)(?!\w))
    |(?P<dot>\.)|(?P<word>\w+)|(?P<comma>,)""",
    re.VERBOSE,
)
_ENDED = re.compile(r"[ \t\r\n.,|:()]|\}\}|\Z")  # what may follow a name


class Token(NamedTuple):
    """Kinds are the groups of the pattern, "text", "begin" and "end" (of an action)."""

    kind: str
    text: str


def tokens(template: str) -> Iterator[Token]:
    """All of a template. Raises ValueError where it is none."""
    at, trim = 0, False
    while at < len(template):
        begin = template.find("{{", at)
        text = template[at:] if begin < 0 else template[at:begin]
        text = text.lstrip(_SPACE) if trim else text
        opening = _OPEN.match(template, begin) if begin >= 0 else None
        text = text.rstrip(_SPACE) if opening and opening[1] else text
        if text:
            yield Token("text", text)
        if opening is None:
            return
        if template.startswith("/*", opening.end() + bool(opening[1])):
            at, trim = _after_comment(template, opening.end() + bool(opening[1]))
            continue
        yield Token("begin", "")
        at = yield from _action(template, opening.end())
        trim = template[at - 3] == "-"
        yield Token("end", "")


def _after_comment(template: str, at: int) -> tuple[int, bool]:
    end = template.find("*/", at + 2) + 2
    closing = _CLOSE.match(template, end) if end >= 2 else None
    if closing is None or len(closing.group()) > 4:
        raise ValueError("comment without an end")
    return closing.end(), closing.group() != "}}"


def _action(template: str, at: int) -> Generator[Token, None, int]:
    """Its tokens; returns the place after it."""
    depth = 0
    while not (closing := _CLOSE.match(template, at)):
        found = _TOKEN.match(template, at)
        if found is None or found.lastgroup is None:
            raise ValueError("unexpected character in an action")
        at = found.end()
        if found.lastgroup in ("variable", "field", "word", "dot") and not _ENDED.match(template, at):
            raise ValueError("unexpected character after a name")
        depth += (found.lastgroup == "open") - (found.lastgroup == "close")
        if depth < 0:
            raise ValueError("unexpected )")
        yield Token(found.lastgroup, found.group())
    if depth:
        raise ValueError("unclosed (")
    return closing.end()


class Cursor:
    """A place among tokens."""

    def __init__(self, template: str):
        self._tokens = list(tokens(template))
        self._at = 0

    def _peek(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else Token("nothing", "")

    def _next(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1] if self._at <= len(self._tokens) else Token("nothing", "")

    def _skip(self) -> None:
        while self._peek().kind == "space":
            self._at += 1

    def _expect(self, kind: str) -> Token:
        self._skip()
        token = self._next()
        if token.kind != kind:
            raise ValueError(f"{kind} expected")
        return token
