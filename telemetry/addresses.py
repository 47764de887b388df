"""Which texts are IP addresses, all of a table at once: a state machine of which every text takes a step at a time.

It says what `ipaddress.ip_address` says. Of the forms that are rare (an IPv4 address within an IPv6 one, RFC 4291 2.2;
a zone behind a `%`, RFC 4007 11) it says that Python is to be asked.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from telemetry.texts import Texts

_LONGEST: Final = 39  # characters of an address without a zone
_CLASSES: Final = (b"0", b"1", b"2", b"34", b"5", b"6789", b"abcdefABCDEF", b".", b":", b"%")  # that differ in a step
_OTHERS: Final = bytes(set(range(256)) - set(b"".join(_CLASSES)))
_ASK: Final = "ask"


class _Quad(NamedTuple):
    """Within an IPv4 address (RFC 1123 2.1; no zeros lead an octet)."""

    dots: int = 0
    octet: str = ""  # its digits so far; once no more than one value of them matters, a stand-in of the same length


class _Groups(NamedTuple):
    """Within an IPv6 address (RFC 4291 2.2)."""

    groups: int = 0  # begun
    digits: int = 0  # of the last one
    gap: bool = False  # a `::` was there
    colons: int = 0  # at the end so far


_State = tuple[_Quad | None, "_Groups | str | None"]


def are_addresses(texts: Texts) -> NDArray[np.bool_]:
    """[n] which texts are an address."""
    lengths = np.minimum(texts.lengths, _LONGEST + 1)
    order = np.argsort((_LONGEST + 1 - lengths).astype(np.uint8), kind="stable")  # a byte each: sorted by counting
    starts = texts.offsets[:-1][order]
    longer = len(lengths) - np.cumsum(np.bincount(lengths, minlength=_LONGEST + 2))  # than each length
    state = np.zeros(len(lengths), np.int64)
    for at in range(int(lengths.max(initial=0))):
        going = slice(int(longer[at]))
        state[going] = _NEXT[state[going] + texts.letters[starts[going] + at]]
    good, asked = np.empty(len(lengths), np.bool_), np.empty(len(lengths), np.bool_)
    good[order], asked[order] = _GOOD[state], _ASKED[state]
    for place in np.flatnonzero(asked).tolist():
        good[place] = _is_address(texts[place])
    return good


@lru_cache(65_536)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _step(state: _State, letter: str) -> _State:
    quad, groups = state
    return quad and _quad(quad, letter), groups if isinstance(groups, str) else groups and _groups(groups, letter)


def _quad(quad: _Quad, letter: str) -> _Quad | None:
    if letter == ".":
        return _Quad(quad.dots + 1) if quad.octet and quad.dots < 3 else None
    octet = quad.octet + letter
    if not letter.isdigit() or (len(octet) > 1 and octet.startswith("0")) or int(octet) > 255:
        return None
    if len(octet) == 3 or (len(octet) == 2 and int(octet) > 25):
        octet = "99" if len(octet) == 2 else "255"
    elif len(octet) == 2:
        octet = "25" if octet == "25" else "10"
    return _Quad(quad.dots, octet)


def _groups(state: _Groups, letter: str) -> _Groups | str | None:
    groups, digits, gap, colons = state
    if letter in "%." and (groups > 1 or gap):  # after a colon
        return _ASK
    if letter == ":":
        if colons == 2 or (colons == 1 and gap):
            return None
        return _Groups(groups, 0, gap or colons == 1, colons + 1)
    if letter not in "0123456789a":
        return None
    if colons or not groups:
        return None if groups == 8 or (colons == 1 and not groups) else _Groups(groups + 1, 1, gap)
    return _Groups(groups, digits + 1, gap) if digits < 4 else None


def _is_end(state: _State) -> bool:
    quad, groups = state
    if quad and quad.dots == 3 and quad.octet:
        return True
    if not isinstance(groups, _Groups) or groups.colons == 1:
        return False
    return groups.groups <= 7 if groups.gap else groups.groups == 8


def _machine() -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Next states by state and byte, which states are an address, and which ask. A state is where its 256 begin."""
    states: dict[_State, int] = {(_Quad(), _Groups()): 0}
    rows = []
    for state in (found := list(states)):  # grows while we go
        row = np.zeros(256, np.int64)
        for letters in (*_CLASSES, _OTHERS):
            after = _step(state, chr(letters[0]))
            if after not in states:
                states[after] = len(found) * 256
                found.append(after)
            row[np.frombuffer(letters, np.uint8)] = states[after]
        rows.append(row)
    good, asks = [_is_end(state) for state in found], [state[1] == _ASK for state in found]
    return np.concatenate(rows), np.repeat(good, 256), np.repeat(asks, 256)


_NEXT, _GOOD, _ASKED = _machine()
