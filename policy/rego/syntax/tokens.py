"""Rego's text as tokens. Texts and numbers are checked here, so what follows knows that each is one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

KEYWORDS = frozenset(
    (
        *("as", "contains", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package"),
        *("some", "true", "with"),
    )
)
FUTURE = frozenset(("and", "or"))  # keywords only where they are imported
END = "end of the file"
MAX_NUMBER = 1e5  # largest binary exponent that OPA reads


class Malformed(Exception):
    """The text is not Rego. `start` counts characters from the beginning of the module."""

    def __init__(self, start: int, message: str):
        super().__init__(message)
        self.start = start


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is "name", "number", "text", "template", END, or the keyword or sign itself. A number's value is as it is
    written, and that of a piece of a template is what it says.
    """

    kind: str
    start: int
    end: int
    value: Any = None
    spaced: bool = False  # something lies between it and the token before
    fresh: bool = False  # a new line does
    last: bool = False  # the template ends with it


_TOKEN = re.compile(
    r"""
      (?P<name>[A-Za-z_](?:[A-Za-z_]|\d)*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]*)?(?:[A-Za-z_]|\d)*)
    | (?P<text>"(?:[^"\\\n]|\\.)*+"|`[^`]*+`)
    | (?P<template>\$["`])
    | (?P<sign>:=|==|!=|<=|>=|[\[\]{}(),:+\-*/%&|=<>;.])
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_GAP = re.compile(r"(?:[ \t\r\n]++|\#[^\n]*+)*+")
_COMMENT = re.compile(r"#[^\r\n]*")
_PART = {'"': re.compile(r'((?:[^"\\\n{]|\\.)*+)(["{])'), "`": re.compile(r"((?:[^`\\{]|\\\{|\\)*+)([`{])")}
_BYTE_ORDER_MARK = "\ufeff"
_UNWANTED = re.compile(r"\0|(?<!\A)\ufeff")
_UNKNOWN = {
    "!": "`!` is no operator: write `not`, or `!=`",
    "$": '`$` begins a template text: write `$"…"`',
    '"': 'this text is never closed: end it with `"` on the same line',
    "`": "this raw text is never closed: end it with a backtick",
    "'": 'texts stand in double quotes: write `"…"`',
    "\u00a0": "this is a non-breaking space: use a common one",
    _BYTE_ORDER_MARK: "there is a byte-order mark here: take it out",
    "\0": "there is a null character here: take it out",
}


def tokens(text: str) -> list[Token]:
    """All tokens of a module, the last of kind END. Raises Malformed."""
    if unwanted := _UNWANTED.search(text):
        raise Malformed(unwanted.start(), _UNKNOWN[unwanted.group()])
    return list(_scan(text))


def comments(text: str, found: list[Token]) -> list[tuple[int, str]]:
    """Comments between tokens, each with its place."""
    gaps = zip((0, *(one.end for one in found)), (one.start for one in found), strict=False)
    return [(one.start(), one.group()) for start, end in gaps for one in _COMMENT.finditer(text, start, end)]


def _scan(text: str) -> Iterator[Token]:
    at = len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0
    templates: list[tuple[str, int]] = []  # of each template text that is open: its quote, and braces open in it
    while True:
        gap = _GAP.match(text, at)
        start = gap.end() if gap else at
        around = {"spaced": start > at, "fresh": "\n" in text[at:start]}
        if start == len(text):
            yield Token(END, start, start, **around)
            return
        token = _token(text, start, around)
        at = token.end
        yield token
        if token.kind == "template" and not token.last:
            templates.append((text[token.start + 1], 0))
        elif token.kind in "{}" and templates:
            quote, open_braces = templates.pop()
            if token.kind == "{" or open_braces:
                templates.append((quote, open_braces + (1 if token.kind == "{" else -1)))
            else:
                part = _part(text, at, quote, at)
                at = part.end
                yield part
                if not part.last:
                    templates.append((quote, 0))


def _token(text: str, start: int, around: dict[str, bool]) -> Token:
    found = _TOKEN.match(text, start)
    if not found:
        raise Malformed(start, _UNKNOWN.get(text[start], f"`{text[start]}` means nothing in Rego"))
    kind, shown, end = str(found.lastgroup), found.group(), found.end()
    match kind:
        case "name" if shown in KEYWORDS:
            return Token(shown, start, end, shown, **around)
        case "name":
            return Token(kind, start, end, shown, **around)
        case "sign":
            return Token(shown, start, end, **around)
        case "number":
            return Token(kind, start, end, _number(shown, start), **around)
        case "text":
            return Token(kind, start, end, _text(shown, start), **around)
        case _:
            return _part(text, end, shown[1], start, **around)


def _part(text: str, at: int, quote: str, start: int, **around: bool) -> Token:
    """A piece of a template text, up to the next expression or the end."""
    found = _PART[quote].match(text, at)
    if not found:
        raise Malformed(start, f"this template text is never closed: end it with {quote}")
    said = found.group(1).replace("\\{", "{")
    said = _text(f'"{said}"', start) if quote == '"' else said
    return Token("template", start, found.end(), said, last=found.group(2) == quote, **around)


def _text(literal: str, start: int) -> str:
    if literal[0] == "`" or "\\" not in literal:
        return literal[1:-1]
    try:
        return str(json.loads(literal))
    except ValueError:
        raise Malformed(
            start,
            f"{literal[:60]} has an escape that Rego has not: double its backslashes, or write it in backticks",
        ) from None


def _number(shown: str, start: int) -> str:
    number = Decimal(shown) if _NUMBER.fullmatch(shown) else None
    if number is None or (number and abs(number.adjusted()) * 3.33 > MAX_NUMBER):
        raise Malformed(start, f"{shown[:60]} is no number: write it as in JSON, and names without a digit in front")
    return shown
