"""HPACK (RFC 7541), as far as a gRPC server reads it: which method a request asks for.

Every field is decoded, for those that a peer puts into the table are named by number later.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from gateway.enforcement.http2_frames import Violation
from gateway.enforcement.huffman import decoded

Field = tuple[bytes, bytes]
_TABLE: Final = 4096  # bytes that a table may hold where nobody asks for another size (RFC 9113 section 6.5.2)
_ENTRY: Final = 32  # bytes that an entry counts beside its name and value (RFC 7541 section 4.1)
_LONGEST: Final = 1 << 24  # what no integer reaches that is in order here
# Appendix A, without values: nobody here needs those of methods, schemes and statuses, and no ":path" is a gRPC method.
_NAMES = (
    ":authority :method :method :path :path :scheme :scheme :status :status :status :status :status :status :status "
    "accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow "
    "authorization cache-control content-disposition content-encoding content-language content-length "
    "content-location content-range content-type cookie date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards "
    "proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie "
    "strict-transport-security transfer-encoding user-agent vary via www-authenticate"
)
_STATIC: Final[tuple[Field, ...]] = tuple((name.encode(), b"") for name in _NAMES.split())


class Blocks:
    """The header blocks of one connection, in order; each changes the table that the next is read by."""

    def __init__(self) -> None:
        self._table: deque[Field] = deque()  # the newest first
        self._size = 0  # bytes that the table holds
        self._limit = _TABLE

    def path(self, block: bytes) -> str:
        """The block's ":path", "" for none. Raises Violation."""
        try:
            return self._path(block)
        except IndexError as error:  # a read beyond the end
            raise Violation("a header block ends in the middle of a field") from error

    def _path(self, block: bytes) -> str:
        at, path = 0, b""
        while at < len(block):
            first = block[at]
            if first & 0xE0 == 0x20:  # section 6.3
                limit, at = _integer(block, at, 0x1F)
                self._resize(limit)
                continue
            if first & 0x80:  # section 6.1
                index, at = _integer(block, at, 0x7F)
                name, value = self._field(index)
            else:  # section 6.2
                name, value, at = self._literal(block, at, first & 0x40)
            if name == b":path":
                path = value
        return path.decode("latin-1")

    def _literal(self, block: bytes, at: int, kept: int) -> tuple[bytes, bytes, int]:
        index, at = _integer(block, at, 0x3F if kept else 0x0F)
        if index:
            name = self._field(index)[0]
        else:
            name, at = _text(block, at)
        value, at = _text(block, at)
        if kept:
            self._table.appendleft((name, value))
            self._size += len(name) + len(value) + _ENTRY
            self._evict()
        return name, value, at

    def _field(self, index: int) -> Field:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        if not 0 < index <= len(_STATIC) + len(self._table):
            raise Violation("a header field that is in no table")
        return self._table[index - len(_STATIC) - 1]

    def _resize(self, limit: int) -> None:
        if limit > _TABLE:
            raise Violation("a header table larger than allowed")
        self._limit = limit
        self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _ENTRY


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """An integer whose prefix has these bits, and where it ends (section 5.1)."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        digit = block[at]
        at += 1
        value += (digit & 0x7F) << shift
        if value >= _LONGEST or shift > 28:
            raise Violation("a number in a header block is too large")
        if not digit & 0x80:
            return value, at
        shift += 7


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    """A string, and where it ends (section 5.2)."""
    packed = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    data = block[at : at + length]
    if len(data) < length:
        raise Violation("a header block ends in the middle of a string")
    return decoded(data) if packed else data, at + length
