"""Time to live: a block ends by itself, and not later than the longest allowed."""

from __future__ import annotations

from policy import BlockPolicy

_CLOCK_SKEW = 5.0  # seconds that an author's clock may be ahead or behind


def ttl(block: BlockPolicy, longest: float, now: float) -> str | None:
    """Reason to refuse, or None. `longest` and `now` are seconds; not-a-number times are refused too."""
    if not now < block.expires:
        return "has expired already"
    if not (block.expires - block.created <= longest and block.expires - now <= longest + _CLOCK_SKEW):
        return f"would last longer than {longest:g} seconds"
    return None
