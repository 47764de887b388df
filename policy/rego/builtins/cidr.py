"""Addresses and networks, as Go reads them: an IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address."""

from __future__ import annotations

import ipaddress
import itertools
from functools import lru_cache
from typing import Any

from policy.rego.builtins.operands import MAX_ELEMENTS
from policy.rego.values import UNDEFINED, RegoSet, scan

MAX_HOSTS = 65_536  # a larger network is not expanded
_MAPPED = 0xFFFF << 32  # where IPv4 lies in IPv6
_LONGEST = 64  # characters of a network
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(text: str) -> Network | None:
    return _parsed(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Network | None:
    address, _, length = text.partition("/")
    if not (length.isascii() and length.isdecimal() and len(length) < 8):
        return None
    try:
        return _with_length(ipaddress.ip_address(address), int(length))
    except ValueError:
        return None


def _with_length(address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> Network:
    if address.version == 4:
        return ipaddress.IPv4Network((address, length), strict=False)
    if address.scope_id is not None:
        raise ValueError("a zone has no networks")
    network = ipaddress.IPv6Network((address, length), strict=False)
    low = int(network.network_address)
    return ipaddress.IPv4Network((low - _MAPPED, length - 96)) if low >> 32 == 0xFFFF else network


def _address(text: str) -> Network | None:
    return _network(f"{text}/{128 if ':' in text else 32}") if "/" not in text else None


def _either(text: str) -> Network | None:
    return _address(text) or _network(text)


def _inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def contains(network: Any, inner: Any) -> Any:
    """Whether a network holds an address or another network."""
    if type(network) is not str or type(inner) is not str:
        return UNDEFINED
    outer, within = _network(network), _either(inner)
    return UNDEFINED if outer is None or within is None else _inside(within, outer)


def intersects(a: Any, b: Any) -> Any:
    """Whether two networks overlap."""
    if type(a) is not str or type(b) is not str:
        return UNDEFINED
    one, other = _network(a), _network(b)
    return UNDEFINED if one is None or other is None else _inside(one, other) or _inside(other, one)


def is_valid(text: Any) -> Any:
    """Whether it is a network in CIDR notation."""
    return type(text) is str and _network(text) is not None


def expand(text: Any) -> Any:
    """Set of a network's addresses."""
    network = _network(text) if type(text) is str else None
    if network is None or network.num_addresses > MAX_HOSTS:
        return UNDEFINED
    return RegoSet(str(address) for address in network)


def contains_matches(networks: Any, inner: Any) -> Any:
    """Set of pairs of keys where a network holds an address or network."""
    outer = _terms(networks)
    if not outer:
        return RegoSet() if outer is not UNDEFINED else UNDEFINED
    within = _terms(inner)
    if within is UNDEFINED or len(outer) * len(within) > MAX_ELEMENTS:
        return UNDEFINED
    pairs = RegoSet()
    for left, one in outer:
        for right, other in within:
            found = contains(one, other)
            if found is UNDEFINED:
                return UNDEFINED
            if found:
                pairs.add([left, right])
    return pairs


def _terms(value: Any) -> Any:
    """Keys and what stands for a network at them, or undefined."""
    if type(value) is str:
        return [(value, value)]
    held = list(scan(value))
    if not all(type(one) is str or (type(one) is list and one) for _, one in held):
        return UNDEFINED
    return [(at, one[0] if type(one) is list else one) for at, one in held]


def merge(networks: Any) -> Any:
    """Set of the fewest networks that hold the same addresses. An IPv4 address alone stands for its class's network."""
    if type(networks) is list:
        given = networks
    elif type(networks) is RegoSet:
        given = list(networks)
    else:
        return UNDEFINED
    spans = [_span(one) for one in given]
    if None in spans:
        return UNDEFINED
    merged = _merged(sorted((span for span in spans if span), key=lambda span: (span[1], span[0])))
    return RegoSet(itertools.chain.from_iterable(_networks(*span) for span in merged))


Span = tuple[int, int, str]  # first and last address as in IPv6, and how to write it where it is alone


def _span(text: Any) -> Span | None:
    if type(text) is not str:
        return None
    if "/" in text:
        network, shown = _network(text), ""
    else:
        address = _address(text)
        if address is None or address.version == 6:
            return None
        first = int(address.network_address) >> 24
        shown = f"{address.network_address}/{8 if first < 128 else 16 if first < 192 else 24}"
        network = _network(shown)
    if network is None:
        return None
    start = _MAPPED if network.version == 4 else 0
    low, high = int(network.network_address), int(network.broadcast_address)
    return start + low, start + high, shown or str(network)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for first, last, shown in reversed(spans):
        if merged and _before(merged[-1][0]) <= last:
            low, high, _ = merged.pop()
            merged.append((min(first, low), high, ""))
        else:
            merged.append((first, last, shown))
    return merged


def _before(address: int) -> int:
    return address if address in (0, _MAPPED) else address - 1


def _networks(first: int, last: int, shown: str) -> list[str]:
    if shown:
        return [shown]
    if first >> 32 == last >> 32 == 0xFFFF:
        low, high = ipaddress.IPv4Address(first - _MAPPED), ipaddress.IPv4Address(last - _MAPPED)
        return [str(network) for network in ipaddress.summarize_address_range(low, high)]
    return [str(network) for network in ipaddress.summarize_address_range(*map(ipaddress.IPv6Address, (first, last)))]


BUILTINS = {
    "net.cidr_contains": contains,
    "net.cidr_overlap": contains,
    "net.cidr_intersects": intersects,
    "net.cidr_is_valid": is_valid,
    "net.cidr_expand": expand,
    "net.cidr_contains_matches": contains_matches,
    "net.cidr_merge": merge,
}
