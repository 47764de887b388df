"""A prefix is a network as machines compare it: its address's 4 or 16 bytes, then its length. Pure."""

from __future__ import annotations

import ipaddress
import socket

from defense_lines.agent.orders import InvalidOrder, Network

Prefix = bytes

_SHOWN = 64  # characters of what was refused that are said


def packed(target: str) -> Prefix:
    """The prefix of an address or range in the usual notation. Raises InvalidOrder; a zone, for one, is none."""
    address, slash, digits = target.partition("/")
    family, bits = (socket.AF_INET6, 128) if ":" in address else (socket.AF_INET, 32)
    try:
        found = socket.inet_pton(family, address)
    except (OSError, ValueError) as error:
        raise InvalidOrder(f"target {target[:_SHOWN]!r}: no address") from error
    if not slash:
        return found + bytes((bits,))
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 3 and int(digits) <= bits):
        raise InvalidOrder(f"target {target[:_SHOWN]!r}: no prefix length")
    length = int(digits)
    if int.from_bytes(found) & ((1 << bits - length) - 1):
        raise InvalidOrder(f"target {target[:_SHOWN]!r}: has bits beyond its prefix")
    return found + bytes((length,))


def address(prefix: Prefix) -> str:
    """Its first address, as people write it."""
    return socket.inet_ntop(socket.AF_INET if len(prefix) == 5 else socket.AF_INET6, prefix[:-1])


def network(prefix: Prefix) -> Network:
    """The same, as Python's standard library has it."""
    return ipaddress.ip_network((prefix[:-1], prefix[-1]))
