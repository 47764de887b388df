"""Where an address lies, of many texts at once: inside a network, outside of it, or nowhere that one could call."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from telemetry import Texts

OUTSIDE, INSIDE, NOWHERE = 0, 1, 2
_WIDTH = 8  # letters that tell
_SECOND = tuple(f"172.{octet}." for octet in range(16, 32))  # RFC 1918
_SHARED = tuple(f"100.{octet}." for octet in range(64, 128))  # RFC 6598
_INSIDE = ("10.", "192.168.", "127.", "169.254.", *_SECOND, *_SHARED, "fc", "fd", "fe8", "fe9", "fea", "feb", "::1")
_MULTICAST = tuple(f"{octet}." for octet in range(224, 256))  # RFC 5771, and what is reserved behind it
_NOWHERE = (*_MULTICAST, "ff", "0.")


def _number(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text.ljust(_WIDTH, b"\0"), "little"))


def _by_length() -> list[tuple[int, np.uint64, NDArray[np.uint64]]]:
    """Where addresses lie that begin so: the letters that tell, and what these are, in order."""
    return [
        (where, _number(b"\xff" * length), np.sort([_number(one.encode()) for one in texts if len(one) == length]))
        for texts, where in ((_INSIDE, INSIDE), (_NOWHERE, NOWHERE))
        for length in sorted(set(map(len, texts)))
    ]


_PREFIXES = _by_length()


def lie(texts: Texts) -> NDArray[np.int8]:
    """[n] OUTSIDE, INSIDE (private, link-local, this host) or NOWHERE (multicast, broadcast, no text). A name that is
    no address lies outside.
    """
    letters = _letters(texts)
    told = np.full(len(texts), OUTSIDE, np.int8)
    for where, mask, prefixes in _PREFIXES:
        cut = letters & mask
        at = np.searchsorted(prefixes, cut)
        told[prefixes[np.minimum(at, len(prefixes) - 1)] == cut] = where
    told[letters == 0] = NOWHERE
    return told


def _letters(texts: Texts) -> NDArray[np.uint64]:
    """[n] the first eight letters of each as one number, small letters for large ones."""
    places = np.arange(_WIDTH)
    within = places < texts.lengths[:, None]
    padded = np.concatenate([texts.letters, np.zeros(_WIDTH, np.uint8)])
    found = padded[texts.offsets[:-1][:, None] + places] * within
    large = (found >= ord("A")) & (found <= ord("Z"))
    return np.ascontiguousarray(found + large * np.uint8(32), np.uint8).view(np.uint64)[:, 0]
