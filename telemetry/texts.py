"""Many texts in Arrow's layout: all their UTF-8 bytes in one buffer, and where each begins. Read as a sequence of str,
each made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from telemetry.hashing import PROCESS_KEY, Hashes, Letters, Offsets, code_letters, hash_letters
from telemetry.native import copy_texts

_FEW: Final = 512  # texts that a dictionary joins faster than arrays do


class Texts(Sequence[str]):
    """`letters[offsets[i]:offsets[i + 1]]` is text i; the first offset is 0, the last the number of letters."""

    __slots__ = ("_hashes", "_lengths", "letters", "offsets")

    def __init__(self, letters: Letters, offsets: Offsets) -> None:
        self.letters = letters
        self.offsets = offsets
        self._hashes: dict[int, Hashes] = {}  # by key, each computed once: several readers ask
        self._lengths: Offsets | None = None

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """The same texts; half a surrogate pair stands, and `check` refuses it."""
        texts = texts if isinstance(texts, (tuple, list)) else tuple(texts)
        data = "".join(texts)
        if data.isascii():
            return _laid_out([data.encode()], map(len, texts), len(texts))
        parts = list(map(str.encode, texts, repeat("utf-8"), repeat("surrogatepass")))
        return _laid_out(parts, map(len, parts), len(parts))

    @classmethod
    def of_lengths(cls, letters: bytes, lengths: NDArray[np.integer]) -> Texts:
        """Texts of so many bytes each, none below 0, of letters that are not copied. Raises ValueError, TypeError."""
        texts = cls(np.frombuffer(letters, np.uint8), _offsets(lengths))
        texts.check()
        return texts

    def check(self) -> None:
        """Raises ValueError unless the offsets hold together and every text is UTF-8 by itself."""
        ends = self.offsets
        if not len(ends) or ends[0] != 0 or ends[-1] != len(self.letters) or (np.diff(ends) < 0).any():
            raise ValueError("offsets that do not part the letters")
        data = self.letters.tobytes()
        if data.isascii():
            return
        data.decode()
        within = ends[ends < len(data)]
        if ((self.letters[within] & 0xC0) == 0x80).any():  # RFC 3629: a byte that goes on with a character
            raise ValueError("a text that begins within a character")

    @property
    def lengths(self) -> Offsets:
        """[n] bytes of each."""
        if self._lengths is None:
            self._lengths = np.diff(self.offsets)
        return self._lengths

    def hashed(self, key: int = PROCESS_KEY) -> Hashes:
        """[n] a hash of each, under a key; computed once."""
        hashes = self._hashes.get(key)
        if hashes is None:
            hashes = self._hashes[key] = hash_letters(self.letters, self.offsets[:-1], self.lengths, key)
            hashes.flags.writeable = False
        return hashes

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return int(self.letters.nbytes + self.offsets.nbytes)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Texts: ...
    def __getitem__(self, place: int | slice) -> str | Texts:
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        place = range(len(self))[place]
        return _text(self.letters[self.offsets[place] : self.offsets[place + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        data, ends = self.letters.tobytes(), self.offsets.tolist()
        cuts = map(slice, ends, ends[1:])
        if data.isascii():
            return map(data.decode("ascii").__getitem__, cuts)
        return map(_text, map(data.__getitem__, cuts))

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and len(self.places(text)) > 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Texts.of({list(self)!r})"

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The first place of a text. Raises ValueError where it is not."""
        places = self.places(value)
        places = places[(places >= start) & (places < (len(self) if stop is None else stop))]
        if not len(places):
            raise ValueError(f"{value!r} is not among the texts")
        return int(places[0])

    def places(self, text: str) -> Offsets:
        """Where it stands; looked for in all of them at once."""
        wanted = text.encode("utf-8", "surrogatepass")
        places = np.flatnonzero(self.lengths == len(wanted))
        for at, letter in enumerate(wanted):
            if not len(places):
                break
            places = places[self.letters[self.offsets[places] + at] == letter]
        return places

    def take(self, places: NDArray[np.integer]) -> Texts:
        """The texts at these places."""
        lengths = self.lengths[places]
        offsets = _offsets(lengths)
        return Texts(copy_texts(self.letters, self.offsets[:-1][places], lengths), offsets)

    def keep(self, chosen: NDArray[np.bool_]) -> Texts:
        """The texts that a mask names, in order."""
        return self.take(np.flatnonzero(chosen))

    @staticmethod
    def lay(tables: Sequence[Texts]) -> tuple[Texts, NDArray[np.int32]]:
        """One table of all their texts one after another, and for each of these its place."""
        together = _lay(tables)
        return together, np.arange(len(together), dtype=np.int32)

    @staticmethod
    def join(tables: Sequence[Texts]) -> tuple[Texts, NDArray[np.int32]]:
        """One table of all their texts, and for each of these, in order, its place in it. Equal texts share a place."""
        if sum(map(len, tables)) <= _FEW:
            return _join_few(tables)
        together = _lay(tables)
        codes, firsts = code_letters(together.letters, together.offsets[:-1], together.lengths)
        return together.take(firsts), codes


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _laid_out(parts: Iterable[bytes], lengths: Iterable[int], count: int) -> Texts:
    return Texts(np.frombuffer(b"".join(parts), np.uint8), _offsets(np.fromiter(lengths, np.int64, count)))


def _offsets(lengths: NDArray[np.integer]) -> Offsets:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _lay(tables: Sequence[Texts]) -> Texts:
    """All in one buffer, one after another."""
    sizes = np.array([len(table.letters) for table in tables], np.int64)
    moved = [table.offsets[1:] + before for table, before in zip(tables, np.cumsum(sizes) - sizes, strict=True)]
    return Texts(np.concatenate([table.letters for table in tables]), np.concatenate([np.zeros(1, np.int64), *moved]))


def _join_few(tables: Sequence[Texts]) -> tuple[Texts, NDArray[np.int32]]:
    table: dict[str, int] = {}
    places = [table.setdefault(text, len(table)) for texts in tables for text in texts]
    return Texts.of(table), np.array(places, np.int32)
