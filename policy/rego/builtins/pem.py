"""PEM (RFC 7468), read as leniently as Go reads it: text around blocks is skipped, headers within them are ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from policy.rego.builtins.octets import from_base64

_BEGIN, _END, _DASHES = "-----BEGIN ", "\n-----END ", "-----"


class Block(NamedTuple):
    """One block: its label ("CERTIFICATE"), what it holds, and where the text after it starts."""

    label: str
    content: bytes
    after: int


def blocks(text: str) -> Iterator[Block]:
    """All blocks of a text, in order."""
    start = 0
    while block := first_block(text, start):
        yield block
        start = block.after


def first_block(text: str, start: int = 0) -> Block | None:
    """The first block at or after an index."""
    while (end := text.find(_END, start)) >= 0:
        if block := _ending_at(text, start, end):
            return block
        start = end + len(_END)
    return None


def _ending_at(text: str, start: int, end: int) -> Block | None:
    """The block whose end line follows the line break at `end`; the last begin line before it counts."""
    begin = text.rfind(_BEGIN, start, end)
    if begin < 0 or (begin > start and text[begin - 1] != "\n"):
        return None
    line, body = _line(text, begin + len(_BEGIN))
    if not line.endswith(_DASHES):
        return None
    trailer = line.removesuffix(_DASHES) + _DASHES
    rest, after = _line(text, end + len(_END) + len(trailer))
    if rest or not text.startswith(trailer, end + len(_END)):
        return None
    try:
        content = from_base64(_body(text, body, end).replace(" ", "").replace("\t", ""))
    except ValueError:
        return None
    return Block(trailer.removesuffix(_DASHES), content, after)


def _body(text: str, start: int, end: int) -> str:
    """The text after the headers, each a line with a colon."""
    while start < end:
        line, following = _line(text, start)
        if ":" not in line:
            break
        start = following
    return text[start:end]


def _line(text: str, start: int) -> tuple[str, int]:
    """The line at an index, without white space at its end, and where the next one starts."""
    end = text.find("\n", start)
    stop = len(text) if end < 0 else end
    return text[start:stop].removesuffix("\r").rstrip(" \t"), min(stop + 1, len(text))
