"""A block policy is a time-limited deny order: whom, for how long, on which lines, and why."""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

TargetKind = Literal["address", "range", "principal", "actor", "session"]


class InvalidTarget(ValueError):
    """The author's target cannot be a target of its kind."""


class Target(msgspec.Struct, frozen=True, order=True, gc=False):
    """What is blocked. `value` is canonical: addresses and ranges as `ipaddress` prints them, ids as in `Principal`."""

    kind: TargetKind
    value: str

    @classmethod
    def of(cls, kind: TargetKind, value: str) -> Target:
        """Parse and make canonical: IPv4-mapped IPv6 becomes IPv4, a range of one its address. Raises InvalidTarget,
        for a zone (RFC 4007) too: it is one host's own word for one of its links.
        """
        if kind in ("address", "range") and "%" in value:
            raise InvalidTarget(f"{kind} {value!r}: a zone means nothing to others")
        if kind == "address":
            return cls(kind, str(_unmapped(_address(value))))
        if kind == "range":
            return _ranged(_range(value))
        if not value or len(value) > 512 or not value.isprintable():
            raise InvalidTarget(f"{kind} {value!r}: must be 1 to 512 printable characters")
        return cls(kind, value)


class Cause(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a block exists, for whoever has to answer for it."""

    reason: str  # in words
    by: str  # "detector:access", "analyst:jo", "policy:portcullis/response"
    verdict: str = ""  # verdict id
    technique: str = ""  # ATT&CK or ATLAS id


class BlockPolicy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One deny order. Immutable; identified by `id`; applying it twice is applying it once."""

    id: str  # "b-" and 16 hex digits
    target: Target
    created: float  # Unix seconds
    expires: float  # Unix seconds; a line enforces it until then by itself
    cause: Cause
    lines: tuple[str, ...] = ()  # names of the lines meant; empty means every line that can

    def remaining(self, now: float) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.expires - now)


def _ranged(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Target:
    if network.prefixlen == network.max_prefixlen:
        return Target("address", str(network.network_address))
    return Target("range", str(network))


def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(value)
    except ValueError as error:
        raise InvalidTarget(f"address {value!r}: {error}") from error


def _unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _range(value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(value, strict=True)
    except ValueError as error:
        raise InvalidTarget(f"range {value!r}: {error}") from error
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")
