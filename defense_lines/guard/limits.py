"""The guard's limits, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """What may never be blocked, and how much may be. Fields mirror the configuration's guard branch."""

    never_block_addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # addresses and ranges
    never_block_principals: tuple[str, ...] = ()  # principal ids; sessions and actors of these too
    max_ttl_seconds: float = 86_400
    blocks_per_minute: int = 60  # by each cause's author
    blast_radius_share: float = 0.2  # of the last hour's good principals
    blast_radius_count: int = 3  # good principals that may be hit whatever the share
