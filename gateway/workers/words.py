"""What a judge, and the parent of judges, tell the gateway where operations come from."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

_LENGTH: Final = struct.Struct(">I")
_LONGEST: Final = 1024  # bytes of a word


class _Word(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One thing said."""


class Hello(_Word, frozen=True):
    """Who this is: a judge with its number, or the parent, which compiles policies for those that it will fork."""

    kind: Literal["judge", "parent"]
    number: int = 0


class Joined(_Word, frozen=True):
    """The whole state is here."""


class Prepared(_Word, frozen=True):
    """A revision is compiled."""

    revision: str


class Pulse(_Word, frozen=True):
    """Still here."""


Word = Hello | Joined | Prepared | Pulse
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Word]] = msgspec.msgpack.Decoder(Word)


class BadWord(ValueError):
    """What came is no word of ours."""


def said(word: Word) -> bytes:
    """A word on its way."""
    body = _ENCODER.encode(word)
    return _LENGTH.pack(len(body)) + body


class Words:
    """Takes bytes as they come and gives words."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Word]:
        """The words that are whole now. Raises BadWord."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > _LONGEST:
                raise BadWord(f"a word of {length} bytes")
            ends = _LENGTH.size + length
            if len(self._buffer) < ends:
                return
            body = bytes(self._buffer[_LENGTH.size : ends])
            del self._buffer[:ends]
            try:
                word = _DECODER.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise BadWord(str(error)) from error
            yield word
