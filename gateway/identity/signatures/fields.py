"""Structured fields (RFC 9651), read strictly: of bounded length, and no name stands twice, since readers differ in
which of the two they take.
"""

from __future__ import annotations

from typing import Any, Literal, NoReturn, cast

import http_sf

LONGEST = 16_384  # characters of a field's combined value
Kind = Literal["dictionary", "list", "item"]

# Fields that are known to be structured, by the registry of RFC 9651; another one is covered as it is written.
KINDS: dict[str, Kind] = {
    "accept-signature": "dictionary",
    "cache-status": "list",
    "client-cert": "item",
    "client-cert-chain": "list",
    "content-digest": "dictionary",
    "idempotency-key": "item",
    "priority": "dictionary",
    "proxy-status": "list",
    "repr-digest": "dictionary",
    "signature": "dictionary",
    "signature-agent": "dictionary",
    "signature-input": "dictionary",
    "want-content-digest": "dictionary",
    "want-repr-digest": "dictionary",
}


def parse(text: str, kind: Kind) -> Any:
    """The value: a dictionary's members and a list's are (item or inner list, parameters). Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"a structured field of more than {LONGEST} characters")
    return http_sf.parse(text.encode("ascii"), tltype=kind, on_duplicate_key=_twice)


def dictionary(text: str) -> dict[str, Any]:
    """The members of a dictionary. Raises ValueError."""
    return cast(dict[str, Any], parse(text, "dictionary"))


def written(value: Any) -> str:
    """A top-level value as section 4.1 of RFC 9651 writes it. Raises ValueError for nothing at all."""
    return http_sf.ser(value)


def member(value: Any) -> str:
    """One item or inner list, with its parameters."""
    return http_sf.ser([value])


def _twice(name: str, where: str) -> NoReturn:
    raise ValueError(f"{name!r} stands twice in one {where}")
