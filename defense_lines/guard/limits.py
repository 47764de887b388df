"""The guard's limits, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """What may never be blocked, and how much may be. Fields mirror the configuration's guard branch, but for
    `own_path`: what the gateway itself lives by, each address or range with what it is.
    """

    never_block_addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # addresses and ranges
    never_block_principals: tuple[str, ...] = ()  # principal ids; sessions and actors of these too
    own_path: tuple[tuple[str, str], ...] = ()
    max_ttl_seconds: float = 86_400
    repeat_seconds: float = 86_400  # after a block's end within which the same target's next block lasts longer
    blocks_per_minute: int = 60  # by each cause's author
    blast_radius_share: float = 0.2  # of the last hour's good principals; above it a block goes by canary
    blast_radius_count: int = 3  # good principals that may be hit whatever the share
    blast_radius_most: int = 50  # that may be hit, however small a share they are
    approval_share: float = 0.4  # likewise; above it a second person decides
    approval_count: int = 10
    approval_most: int = 200
    widest_ipv4: int = 16  # length of a range's prefix; a wider one waits for a second person, whoever lies in it
    widest_ipv6: int = 32
    shared_principals: int = 10  # an address that more were seen at is many people's
    canary_line: str = "edge"  # the one line that a canary is enforced on
    watch_seconds: float = 30  # for which a new block is watched for harm; after it a canary goes to all lines
    harm_callers: int = 5  # good callers that must fail before their failing counts
    harm_share: float = 0.05  # by which the share of good callers who fail must have risen

    def free(self, known: int) -> int:
        """How many of `known` good callers one block may hit on all lines at once."""
        return _bound(self.blast_radius_share, self.blast_radius_count, self.blast_radius_most, known)

    def unapproved(self, known: int) -> int:
        """How many a block may hit without a second person's approval."""
        return _bound(self.approval_share, self.approval_count, self.approval_most, known)


def _bound(share: float, least: int, most: int, known: int) -> int:
    return max(least, min(int(share * known), most))
