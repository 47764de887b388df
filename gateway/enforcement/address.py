"""Whose address counts: the caller's, as far as proxies that the configuration trusts vouch for it.

The edge ends `x-forwarded-for` with who opened the connection (or whom a PROXY header names). Each honest proxy has put
its own peer last in the same way, so the header is read from the right, and only as long as a trusted proxy wrote it.
What a caller wrote itself lies further left than its own address and is never reached.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from prometheus_client import Counter

_MAX_PROXIES = 16  # in a row; whoever has more in front of it is not told apart from the sixteenth
_LONGEST = 64  # characters of one entry; the longest address in brackets with a port has 53
_REMEMBERED = 4096  # entries read before; proxies come back with every request
# RFC 7239 section 6 writes ports this way, and some balancers do so in x-forwarded-for.
_WITH_PORT = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\])(?::[0-9]{1,5})?")
_UNREAD = Counter("portcullis_gateway_forwarded_unread_total", "X-Forwarded-For of trusted proxies, unreadable")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """The proxies in front of the edge, and what they tell of callers' addresses.

    `trusted` are ranges of HTTP proxies whose x-forwarded-for counts; `relayed` says that connections start with a
    PROXY header. With neither, the address is as Envoy writes it, and nothing is read or told.
    """

    def __init__(self, trusted: Iterable[str] = (), relayed: bool = False) -> None:
        self._ranges: tuple[_Network, ...] = tuple(ipaddress.ip_network(text) for text in trusted)
        self._any = bool(self._ranges) or relayed
        self._read = lru_cache(maxsize=_REMEMBERED)(self._look)

    def caller(self, forwarded: str) -> str:
        """The address that counts, of an `x-forwarded-for` that the edge ended with its peer.

        It is the rightmost address that is no trusted proxy's. Where an entry cannot be read (empty, no address, a
        zone, sixteen proxies), it is the address of the proxy that sent that entry: the furthest one that is certain.
        """
        if not self._any:
            return forwarded.rpartition(",")[2].strip()
        entries = forwarded.rsplit(",", _MAX_PROXIES)[-_MAX_PROXIES:]
        address = entries[-1].strip()
        for entry in reversed(entries):
            text = entry.strip(" \t")
            read = self._read(text) if len(text) <= _LONGEST else None
            if read is None:
                _UNREAD.inc()
                break
            address, is_proxy = read
            if not is_proxy:
                break
        return address

    def told(self, address: str) -> str:
        """What upstream and access log must be told of a caller's address; nothing where Envoy knows it as well."""
        return address if self._any else ""

    def _look(self, text: str) -> tuple[str, bool] | None:
        parsed = read_address(text)
        return None if parsed is None else (str(parsed), any(parsed in network for network in self._ranges))


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """One entry of x-forwarded-for: an address, with or without port and brackets; IPv4-mapped IPv6 is IPv4.

    None is what no address is, and one with a zone: that names an interface of somebody else's host.
    """
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed
    return None if parsed.scope_id else parsed.ipv4_mapped or parsed


DIRECT = Proxies()  # nobody's word counts: the address is who opened the connection
