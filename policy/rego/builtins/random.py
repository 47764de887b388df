"""Randomness, from the operating system. Within one evaluation, the same arguments have the same answer; and UUIDs
(RFC 9562), of which the random ones are made here and all are read.
"""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any

from policy.rego.builtins.operands import integer, octets
from policy.rego.values import UNDEFINED, key

_TICKS = 0x01B21DD213814000  # of 100 ns, from the Gregorian calendar's first day to 1970
_HEX = re.compile(r"[0-9A-Fa-f]{32}")
_DASHED = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DOMAINS = ("Person", "Group", "Org")


def intn(m: list[Any], name: Any, limit: Any) -> Any:
    """A number from 0 up to a limit; the name tells several apart. A negative limit means its size."""
    limit = integer(limit)
    if type(name) is not str or limit is UNDEFINED:
        return UNDEFINED
    return _kept(m, ("rand.intn", name, abs(limit)), lambda: secrets.randbelow(abs(limit)) if limit else 0)


def rfc4122(m: list[Any], name: Any) -> Any:
    """A random UUID; the name tells several apart."""
    return _kept(m, ("uuid.rfc4122", key(name)), lambda: str(uuid.uuid4()))


def _kept(m: list[Any], call: Any, made: Any) -> Any:
    if m[2] is None:
        m[2] = {}
    if call not in m[2]:
        m[2][call] = made()
    return m[2][call]


def parse(text: Any) -> Any:
    """A UUID's version and variant, and what versions 1 and 2 tell of time and machine."""
    found = _read(text) if type(text) is str else None
    if found is None:
        return UNDEFINED
    version = found.bytes[6] >> 4
    told = {"version": version, "variant": _variant(found.bytes[8])}
    if version in (1, 2):
        node = found.bytes[10:]
        told |= {"time": _nanoseconds(found.time), "nodeid": node.hex("-"), "macvariables": _address_kind(node[0])}
        told["clocksequence"] = found.clock_seq
    if version == 2:
        domain = found.bytes[9]
        told |= {"id": found.time_low, "domain": _DOMAINS[domain] if domain < 3 else f"Domain{domain}"}
    return told


def _read(text: str) -> uuid.UUID | None:
    size = len(octets(text))
    if size == 32:
        return uuid.UUID(hex=text) if _HEX.fullmatch(text) else None
    if size == 45 and text[:9].lower() == "urn:uuid:":
        text = text[9:]
    elif size == 38 and text.isascii():
        text = text[1:-1]  # what is around it is not looked at
    return uuid.UUID(hex=text) if _DASHED.fullmatch(text) else None


def _variant(byte: int) -> str:
    if byte & 0xC0 == 0x80:
        return "RFC4122"
    if byte & 0xE0 == 0xC0:
        return "Microsoft"
    return "Future" if byte & 0xE0 == 0xE0 else "Reserved"


def _nanoseconds(ticks: int) -> int:
    """Since 1970, in 64 bits as OPA computes it."""
    return ((ticks - _TICKS) * 100 + (1 << 63)) % (1 << 64) - (1 << 63)


def _address_kind(byte: int) -> str:
    return f"{'local' if byte & 2 else 'global'}:{'multicast' if byte & 1 else 'unicast'}"


IMPURE = {"rand.intn": "random", "uuid.rfc4122": "random"}
BUILTINS = {"rand.intn": intn, "uuid.rfc4122": rfc4122, "uuid.parse": parse}
