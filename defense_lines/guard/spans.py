"""A span is an address or range as numbers; IPv4 lies where IPv6 maps it (::ffff:0:0/96), so both compare as one."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

_MAPPED = 0xFFFF << 32  # ::ffff:0:0, RFC 4291 section 2.5.5.2


class Span(NamedTuple):
    """First and last address, as IPv6 numbers."""

    first: int
    last: int

    def overlaps(self, other: Span) -> bool:
        """Whether any address is in both."""
        return self.first <= other.last and other.first <= self.last


def span(text: str) -> Span:
    """Parse an address or range; host bits are ignored, so a careless range protects more. Raises ValueError."""
    text = text.partition("%")[0]
    if "/" not in text:
        address = ipaddress.ip_address(text)
        number = int(address) + (_MAPPED if address.version == 4 else 0)
        return Span(number, number)
    network = ipaddress.ip_network(text, strict=False)
    shift = _MAPPED if network.version == 4 else 0
    return Span(int(network.network_address) + shift, int(network.broadcast_address) + shift)
