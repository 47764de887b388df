"""The guard asks each rule about a block and answers with a permit or a refusal."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import Counter

from defense_lines.guard.activity import Activity
from defense_lines.guard.blast_radius import blast_radius
from defense_lines.guard.limits import GuardLimits
from defense_lines.guard.never_block import Protected, never_block
from defense_lines.guard.permit import MINT, Override, Permit, Refusal
from defense_lines.guard.rate import Rate
from defense_lines.guard.ttl import ttl
from policy import BlockPolicy, InvalidTarget, Target

_JUDGED = Counter("portcullis_defense_lines_guard_judged_total", "Blocks judged, by the rule that refused", ["rule"])


class Guard:
    """Judges blocks one at a time; remembers only what each author was given within the minute.

    Raises ValueError if the limits name something that is no address or range.
    """

    def __init__(
        self, limits: GuardLimits, activity: Activity | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._protected = Protected.of(limits)
        self._activity = activity if activity is not None else Activity()
        self._detectors = Rate(limits.blocks_per_minute)
        self._people = Rate(limits.blocks_per_minute)  # apart, so that neither fills the other's table of authors
        self._monotonic = monotonic

    def judge(self, block: BlockPolicy, now: float, override: Override | None = None) -> Permit | Refusal:
        """May this block stand? `now` is Unix seconds; an override lifts rate and blast radius, nothing else."""
        accepted = self._monotonic()
        refusal = self._always(block, now) or self._unless_overridden(block, now, accepted)
        if refusal and not (override and override.by and refusal[0] in ("rate", "blast_radius")):
            _JUDGED.labels(refusal[0]).inc()
            return Refusal(*refusal, block, override)
        self._rate(block.cause.by).count(block.cause.by, accepted)
        _JUDGED.labels("overridden" if refusal else "none").inc()
        return Permit(MINT, block, override if refusal else None, accepted, self._monotonic())

    def _rate(self, author: str) -> Rate:
        return self._detectors if author.startswith("detector:") else self._people

    def _always(self, block: BlockPolicy, now: float) -> tuple[str, str] | None:
        target = block.target
        if reason := _not_canonical(target):
            return "target", reason
        owners = self._activity.owners(target.value, now) if target.kind == "session" else ()
        if reason := never_block(target, self._protected, owners):
            return "never_block", reason
        if reason := ttl(block, self._limits.max_ttl_seconds, now):
            return "ttl", reason
        return None

    def _unless_overridden(self, block: BlockPolicy, now: float, moment: float) -> tuple[str, str] | None:
        if reason := blast_radius(block.target, self._activity, self._limits, now):
            return "blast_radius", reason
        if reason := self._rate(block.cause.by).refuses(block.cause.by, moment):
            return "rate", reason
        return None


def _not_canonical(target: Target) -> str | None:
    # a target that came over a wire was not necessarily made by Target.of; lines compare its text
    try:
        canonical = Target.of(target.kind, target.value)
    except InvalidTarget as error:
        return str(error)
    return None if canonical == target else f"{target.kind} {target.value!r} is not canonical: {canonical.value!r}"
