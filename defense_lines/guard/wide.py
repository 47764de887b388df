"""Wide: a range so large that nobody knows who lies in it, whether or not they came lately."""

from __future__ import annotations

from ipaddress import ip_network

from defense_lines.guard.limits import GuardLimits
from policy import Target


def wide(target: Target, limits: GuardLimits) -> str | None:
    """Why a second person has to look at it, or None."""
    if target.kind != "range":
        return None
    network = ip_network(target.value)
    longest = limits.widest_ipv4 if network.version == 4 else limits.widest_ipv6
    if network.prefixlen >= longest:
        return None
    return f"is wider than /{longest}, and holds {network.num_addresses} addresses"
