"""Addresses and names of hosts."""

from __future__ import annotations

import ipaddress


def is_address(host: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, and so no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
