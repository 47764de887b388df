"""The Huffman code of header strings (RFC 7541 section 5.2 and Appendix B)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.enforcement.http2_frames import Violation

_END: Final = 256  # the symbol that no string holds
# How many bits each symbol's code has. The code is canonical: codes of one length count up in the symbols' order, and
# go on from those that are shorter.
_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b0806060605050506060606"
    "06060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e060f05060506050606060507070606"
    "060506070605050607070707070f0b0e0d1c14161414161616171617171717171817181816171817171717151617161717181615141616"
    "1717151716161815161717151516151716171714161616171616171a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a"
    "1c1b1b1b14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a1e"
)


def _codes() -> Iterator[tuple[tuple[int, int], int]]:
    """Each symbol by its code: how many bits, and their value."""
    code = length = 0
    for symbol in sorted(range(len(_LENGTHS)), key=lambda each: (_LENGTHS[each], each)):
        code <<= _LENGTHS[symbol] - length
        length = _LENGTHS[symbol]
        yield (length, code), symbol
        code += 1


_SYMBOLS: Final = dict(_codes())
_LONGEST: Final = max(_LENGTHS)


def decoded(data: bytes) -> bytes:
    """The string that these bytes stand for. Raises Violation."""
    out, code, length = bytearray(), 0, 0
    for octet in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | octet >> bit & 1, length + 1
            symbol = _SYMBOLS.get((length, code))
            if symbol is not None:
                if symbol == _END:
                    raise Violation("a string's end is inside it")
                out.append(symbol)
                code = length = 0
            elif length == _LONGEST:
                raise Violation("bits that stand for nothing")
    if length > 7 or code != (1 << length) - 1:
        raise Violation("a string is padded with something else than ones")
    return bytes(out)
