"""What is written in C: loops over letters, which numpy would walk many times. `make setup` compiles it here. It lets
go of the interpreter's lock while it works.

What is handed over is checked: texts lie within their letters, arrays are as long as they must be.
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
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    texts: tuple[Any, ...] = (pointer, size, size, pointer, pointer)
    library.texts_hash.argtypes = [*texts, pointer, pointer]
    library.texts_code.argtypes = [*texts, pointer, pointer, ctypes.c_uint, pointer, pointer, pointer]
    library.texts_copy.argtypes = [*texts, pointer, size]
    library.eve_read.argtypes = [pointer, size, ctypes.c_bool, size, pointer, pointer, pointer, pointer]
    for name in ("texts_hash", "texts_code", "texts_copy", "eve_read"):
        library[name].restype = ctypes.c_int64
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
    found = [one.ctypes.data for one in (starts, lengths, numbers, kinds)]
    used = _LIBRARY.eve_read(page.ctypes.data, size, not _is_text(block), count, *found)
    page[used : used + _BEYOND] = 0
    return EveCells(page[: used + _BEYOND], starts, lengths, numbers, kinds)


def hash_texts(letters: Letters, starts: Offsets, lengths: Offsets, secrets: Sequence[int]) -> Hashes:
    """[n] hashes under four numbers of 64 bits, of which the last three are odd. See texts.c."""
    hashes = np.empty(len(starts), np.uint64)
    _call(_LIBRARY.texts_hash, letters, starts, lengths, _secret(secrets), hashes.ctypes.data)
    return hashes


def code_texts(
    letters: Letters, starts: Offsets, lengths: Offsets, secrets: Sequence[int]
) -> tuple[NDArray[np.int32], Offsets]:
    """[n] codes in the order in which each text first appears, and of each code its first row."""
    count = len(starts)
    bits = count.bit_length() + 1
    slots, codes = np.zeros(1 << bits, np.int32), np.empty(count, np.int32)
    firsts, hashes = np.empty(count, np.int64), np.empty(count, np.uint64)
    table = (slots.ctypes.data, bits, codes.ctypes.data, firsts.ctypes.data, hashes.ctypes.data)
    return codes, firsts[: _call(_LIBRARY.texts_code, letters, starts, lengths, _secret(secrets), *table)]


def copy_texts(letters: Letters, starts: Offsets, lengths: Offsets) -> Letters:
    """All of them, one after another."""
    together = np.empty(max(int(lengths.sum()), 0), np.uint8)
    _call(_LIBRARY.texts_copy, letters, starts, lengths, together.ctypes.data, len(together))
    return together


def _call(function: Any, letters: Letters, starts: Offsets, lengths: Offsets, *rest: Any) -> int:
    """What it returns. Raises ValueError where a text does not lie within the letters, or there are too many."""
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
    texts = (letters.ctypes.data, len(letters), count, starts.ctypes.data, lengths.ctypes.data)
    told: int = function(*texts, *rest)
    if told < 0:
        raise ValueError("texts beyond the letters")
    return told


def _secret(numbers: Sequence[int]) -> Any:
    return (ctypes.c_uint64 * 4)(*numbers)


def _is_text(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True
