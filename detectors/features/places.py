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


def lie(texts: Texts) -> NDArray[np.int8]:
    """[n] OUTSIDE, INSIDE (private, link-local, this host) or NOWHERE (multicast, broadcast, no text). A name that is
    no address lies outside.
    """
    letters = _letters(texts)
    told = np.full(len(texts), OUTSIDE, np.int8)
    for prefixes, where in ((_INSIDE, INSIDE), (_NOWHERE, NOWHERE)):
        for prefix in prefixes:
            wanted = np.frombuffer(prefix[:_WIDTH].encode().ljust(_WIDTH, b"\0"), np.uint64)[0]
            mask = np.frombuffer((b"\xff" * len(prefix[:_WIDTH])).ljust(_WIDTH, b"\0"), np.uint64)[0]
            told[(letters & mask) == wanted] = where
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
