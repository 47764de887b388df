"""Addresses and networks."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Any

from policy.rego.values import UNDEFINED, RegoSet, scan

MAX_HOSTS = 65_536  # a larger network is not expanded
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=4096)
def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _either(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


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
    pairs = []
    for left, outer in _terms(networks):
        for right, within in _terms(inner):
            found = contains(outer, within)
            if found is UNDEFINED:
                return UNDEFINED
            if found:
                pairs.append([left, right])
    return RegoSet(pairs)


def _terms(value: Any) -> list[tuple[Any, Any]]:
    if type(value) is str:
        return [(value, value)]
    return [(at, one[0] if type(one) is list and one else one) for at, one in scan(value)]


BUILTINS = {
    "net.cidr_contains": contains,
    "net.cidr_intersects": intersects,
    "net.cidr_is_valid": is_valid,
    "net.cidr_expand": expand,
    "net.cidr_contains_matches": contains_matches,
}
