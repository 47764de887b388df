"""Just enough DER (X.690) to find the parts of a certificate as they were signed."""

from __future__ import annotations

from typing import NamedTuple


class Element(NamedTuple):
    """One element: its tag, what it holds, and all of its octets."""

    tag: int
    content: bytes
    whole: bytes

    def parts(self) -> list[Element]:
        """The elements it holds. Raises ValueError."""
        return elements(self.content)


def elements(encoded: bytes) -> list[Element]:
    """Elements, one after the other. Raises ValueError."""
    found, start = [], 0
    while start < len(encoded):
        at, length = _length(encoded, start + 1)
        end = at + length
        if end > len(encoded):
            raise ValueError("an element that is cut off")
        found.append(Element(encoded[start], encoded[at:end], encoded[start:end]))
        start = end
    return found


def _length(encoded: bytes, at: int) -> tuple[int, int]:
    """Where the content starts and how long it is; the length itself has at most four octets."""
    first = encoded[at] if at < len(encoded) else 0x80
    if first < 0x80:
        return at + 1, first
    end = at + 1 + first - 0x80
    if first == 0x80 or end - at > 5 or end > len(encoded):
        raise ValueError("not a length in DER")
    return end, int.from_bytes(encoded[at + 1 : end])
