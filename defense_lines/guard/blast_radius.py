"""Blast radius: how many of the bank's good callers a block would hit with its target."""

from __future__ import annotations

from itertools import islice

from defense_lines.guard.activity import Activity
from defense_lines.guard.limits import GuardLimits
from policy import Target


def blast_radius(target: Target, activity: Activity, limits: GuardLimits, now: float) -> str | None:
    """Reason to refuse, or None. Up to `blast_radius_count` may be hit whatever the share."""
    known = activity.principals(now)
    allowed = max(limits.blast_radius_count, limits.blast_radius_share * known)
    hit = len(activity.hit(target, now, allowed))
    if hit > allowed:
        return f"would hit {hit} or more of the last hour's {known} good principals"
    if target.kind != "range":
        return None
    known = activity.addresses(now)
    allowed = max(limits.blast_radius_count, limits.blast_radius_share * known)
    hit = sum(1 for _ in islice(activity.within(target.value), int(allowed) + 1))
    return f"would hit {hit} or more of the last hour's {known} good addresses" if hit > allowed else None
