"""What is written in C: loops over letters, which numpy would walk many times. `make setup` compiles it here. It lets
go of the interpreter's lock while it works.

Every call checks what it hands over: rows lie within the letters, arrays are as long as they must be.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Letters = NDArray[np.uint8]
Offsets = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_FILE: Final = Path(__file__).parent / "libtelemetry.so"
_BEYOND: Final = 8  # bytes that may be read after the last


class NotCompiled(ImportError):
    """What is written in C has not been compiled."""


def _loaded() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(_FILE))
    except OSError as error:
        raise NotCompiled(f"{_FILE} has not been compiled: make setup does it ({error})") from None
    for name in ("texts_code", "eve_read"):
        library[name].restype = ctypes.c_size_t
    for name in ("texts_hash", "texts_copy"):
        library[name].restype = None
    return library


_LIBRARY: Final = _loaded()


def _names(symbol: str) -> tuple[str, ...]:
    return tuple(ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(_LIBRARY, symbol))).decode().split())


EVE_CELLS: Final = _names("eve_cells")
EVE_NUMBERS: Final = _names("eve_numbers")
EVE_KINDS: Final = _names("eve_kinds")
EVE_EMPTY: Final = 254
EVE_ODD: Final = 255


class EveCells(NamedTuple):
    """What was found in some lines."""

    page: Letters  # the lines, what texts say that were written with escapes, and eight zeros
    starts: Offsets  # [cells, lines]
    lengths: Offsets  # [cells, lines]
    numbers: NDArray[np.int64]  # [numbers, lines]
    kinds: Letters  # [lines] an index of EVE_KINDS, EVE_EMPTY or EVE_ODD


def eve_cells(block: bytes) -> EveCells:
    """Of lines of EVE, each with its end, where the cells lie. See eve.c."""
    if not block.endswith(b"\n"):
        raise ValueError("a line without its end")
    count, size = block.count(b"\n"), len(block)
    page = np.empty(2 * size + _BEYOND, np.uint8)
    page[:size] = np.frombuffer(block, np.uint8)
    starts, lengths = np.empty((2, len(EVE_CELLS), count), np.int64)
    numbers, kinds = np.empty((len(EVE_NUMBERS), count), np.int64), np.empty(count, np.uint8)
    arrays = (_at(one) for one in (starts, lengths, numbers, kinds))
    used = _LIBRARY.eve_read(_at(page), _size(size), ctypes.c_bool(not _is_text(block)), _size(count), *arrays)
    page[used : used + _BEYOND] = 0
    return EveCells(page[: used + _BEYOND], starts, lengths, numbers, kinds)


def hash_texts(letters: Letters, starts: Offsets, lengths: Offsets, secrets: Sequence[int]) -> Hashes:
    """[n] hashes under four numbers of 64 bits, of which the last three are odd. See texts.c."""
    hashes = np.empty(len(starts), np.uint64)
    _LIBRARY.texts_hash(*_texts(letters, starts, lengths), _secret(secrets), _at(hashes))
    return hashes


def code_texts(
    letters: Letters, starts: Offsets, lengths: Offsets, secrets: Sequence[int]
) -> tuple[NDArray[np.int32], Offsets]:
    """[n] codes in the order in which each text first appears, and of each code its first row."""
    count = len(starts)
    bits = count.bit_length() + 1
    slots, codes = np.zeros(1 << bits, np.int32), np.empty(count, np.int32)
    firsts, hashes = np.empty(count, np.int64), np.empty(count, np.uint64)
    texts = _texts(letters, starts, lengths)
    table = (_at(slots), ctypes.c_uint(bits), _at(codes), _at(firsts), _at(hashes))
    return codes, firsts[: _LIBRARY.texts_code(*texts, _secret(secrets), *table)]


def copy_texts(letters: Letters, starts: Offsets, lengths: Offsets) -> Letters:
    """All of them, one after another."""
    together = np.empty(int(lengths.sum()), np.uint8)
    at, _, *texts = _texts(letters, starts, lengths)
    _LIBRARY.texts_copy(at, *texts, _at(together))
    return together


def _texts(letters: Letters, starts: Offsets, lengths: Offsets) -> tuple[Any, ...]:
    """As arguments. Raises ValueError where one does not lie within the letters, or there are too many."""
    letters, starts, lengths = (
        np.ascontiguousarray(letters),
        np.ascontiguousarray(starts),
        np.ascontiguousarray(lengths),
    )
    if letters.dtype != np.uint8 or starts.dtype != np.int64 or lengths.dtype != np.int64:
        raise ValueError("letters are bytes, starts and lengths 64-bit numbers")
    count = len(starts)
    if len(lengths) != count or count >= 2**31:
        raise ValueError(f"{count} starts, {len(lengths)} lengths")
    if count and (int(starts.min()) < 0 or int(lengths.min()) < 0 or (starts > len(letters) - lengths).any()):
        raise ValueError("texts beyond the letters")
    return _at(letters), _size(len(letters)), _size(count), _at(starts), _at(lengths)


def _secret(numbers: Sequence[int]) -> Any:
    return (ctypes.c_uint64 * 4)(*map(int, numbers))


def _at(array: NDArray[Any]) -> Any:
    """The array's memory, held as long as the argument is."""
    return array.ctypes.data_as(ctypes.c_void_p)


def _size(number: int) -> Any:
    return ctypes.c_size_t(number)


def _is_text(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True
