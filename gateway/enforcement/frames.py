"""What is said between Envoy's module and a judge, on one stream socket: frames of a length and a kind, little endian
(`gateway/edge/module/frames.h` has the same).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

LARGEST: Final = 2 << 20  # bytes of a frame: the longest body and headers that the edge lets through fit
HEAD: Final = 4  # bytes of a frame's length, which it does not count
CONTENT_NONE: Final = 1  # the request has no content
CONTENT_SHOWN: Final = 2  # all of it is in the question
CONTENT_UNREAD: Final = 4  # it has some, which is not shown
VARIES_BY_QUERY: Final = 1
_QUESTION: Final = Struct("<IBBHQ12I")
_ANSWER: Final = Struct("<IBBHQIBBH10I")
_HELLO: Final = Struct("<IBBHQ")
_HELLO_KIND, _ANSWER_KIND, _QUESTION_KIND = 1, 2, 1
_BUCKET: Final = 2  # bytes of a bucket's number

Question = tuple[int, int, list[bytes]]  # id, content, and the parts in the order of the module's `enum field`


class Malformed(ValueError):
    """The peer sent something else than whole questions."""


def question(data: bytes, start: int) -> tuple[Question, int] | None:
    """The question that starts there and where the next one does; None if it is not whole yet. Raises Malformed."""
    if len(data) - start < _QUESTION.size:
        return None
    length, kind, content, _, number, *lengths = _QUESTION.unpack_from(data, start)
    if kind != _QUESTION_KIND or length > LARGEST or length != _QUESTION.size - HEAD + sum(lengths):
        raise Malformed(f"a frame of kind {kind} and {length} bytes")
    end = start + HEAD + length
    if len(data) < end:
        return None
    at, parts = start + _QUESTION.size, []
    for size in lengths:
        parts.append(data[at : at + size])
        at += size
    return (number, content, parts), end


def answer(
    number: int, allowed: bool, status: int, ttl_ms: int, varies: int, buckets: Sequence[int], said: Sequence[bytes]
) -> bytes:
    """An answer's frame. `ttl_ms`: for how long it answers the same question again; `buckets`: whom a signal must touch
    to end that; `said`: texts in the order of the module's `enum said`.
    """
    lengths = [len(text) for text in said]
    told = Struct(f"<{len(buckets)}H").pack(*buckets) if buckets else b""
    size = _ANSWER.size - HEAD + len(told) + sum(lengths)
    head = _ANSWER.pack(size, _ANSWER_KIND, allowed, status, number, ttl_ms, varies, len(told) // _BUCKET, 0, *lengths)
    return b"".join((head, told, *said))


def hello(instance: int) -> bytes:
    """What a judge says first: which start of the gateway it belongs to, by a number that no other has."""
    return _HELLO.pack(_HELLO.size - HEAD, _HELLO_KIND, 0, 0, instance)
