"""Blast radius: how many of the bank's good callers a block would hit with its target."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Self

import msgspec

from defense_lines.guard.activity import LOOKED, WEEK, Activity
from defense_lines.guard.limits import GuardLimits
from policy import Target


class Radius(msgspec.Struct, frozen=True, kw_only=True):
    """How many good callers would be hit, and how many there are. Where many of a range are, no more are counted than
    decide. Principals, sessions and addresses are those of the last hour; regulars are the last week's principals.
    """

    principals: int = 0
    known_principals: int = 0
    regulars: int = 0
    known_regulars: int = 0
    sessions: int = 0
    known_sessions: int = 0
    addresses: int = 0  # of a range
    known_addresses: int = 0
    more: bool = False  # a range has more good addresses than are looked at: it hits at least so many

    @property
    def people(self) -> int:
        """Principals, of the hour or of the week, whichever are more."""
        return max(self.principals, self.regulars)


class Callers(NamedTuple):
    """The good ones."""

    hour: Activity
    week: Activity

    @classmethod
    def nobody(cls) -> Self:
        """Before anybody came."""
        return cls(Activity(), Activity(window=WEEK))

    def hit(self, target: Target, now: float) -> frozenset[str]:
        """Whom a block of this target would hit."""
        return self.hour.hit(target, now) | self.week.hit(target, now)

    def measure(self, target: Target, now: float, limits: GuardLimits | None) -> Radius:
        """What a block of this target would hit; by exact numbers, where there are no `limits`."""
        hour, week, is_range = self.hour, self.week, target.kind == "range"
        known, sessions, regulars = hour.principals(now), hour.sessions(now), week.principals(now)
        return Radius(
            principals=hour.count(target, now, _enough(limits, known)),
            known_principals=known,
            regulars=week.count(target, now, _enough(limits, regulars)),
            known_regulars=regulars,
            sessions=hour.sessions_hit(target, now, _enough(limits, sessions)),
            known_sessions=sessions,
            addresses=hour.count_within(target.value) if is_range else 0,
            known_addresses=hour.addresses(now),
            more=is_range and max(each.count_within(target.value) for each in self) > LOOKED,
        )

    def crowd(self, network: str, most: int) -> int:
        """How many good principals share one address of a range; 0 if of no address more than `most` do."""
        return max(each.crowd(network, most) for each in self)


def _enough(limits: GuardLimits | None, known: int) -> float:
    return limits.unapproved(known) if limits else math.inf


def beyond_free(radius: Radius, limits: GuardLimits) -> str | None:
    """Why a block is not for all lines at once, or None."""
    return _beyond(radius, limits.free, limits.blast_radius_count)


def beyond_unapproved(radius: Radius, limits: GuardLimits) -> str | None:
    """Why a block needs a second person, or None."""
    if radius.more:
        return f"has more than {LOOKED} good addresses"
    return _beyond(radius, limits.unapproved, limits.approval_count)


def _beyond(radius: Radius, allowed: Callable[[int], int], few: int) -> str | None:
    # few people may have many sessions
    for hit, known, what in (
        (radius.principals, radius.known_principals, "hour's {} good principals"),
        (radius.regulars, radius.known_regulars, "week's {} good principals"),
        (radius.addresses, radius.known_addresses, "hour's {} good addresses"),
        (radius.sessions if radius.principals > few else 0, radius.known_sessions, "hour's {} good sessions"),
    ):
        if hit > allowed(known):
            return f"would hit {hit} or more of the last {what.format(known)}, the limit is {allowed(known)}"
    return None
