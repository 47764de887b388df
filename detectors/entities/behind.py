"""Whom the pairs of a place speak for, how surely, and the evidence in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.entities.pairs import Joined

NAMED = 0.6  # confidence above which somebody is named: one alone, and never one of two who are equally sure
_THERE = 0.05  # presence below which nobody is spoken of
_QUOTED = 3  # of those who share a place


class Behind(NamedTuple):
    """Who is behind a place, as of a moment."""

    principal: str  # id; empty where nobody stands out
    confidence: float  # 0 to 1, of that principal; 0 where nobody is named
    crowd: float  # about how many principals share the place, at least 1
    since: float  # Unix seconds from which the principal is there without a long break
    evidence: tuple[str, ...]  # in words


NOBODY = Behind("", 0.0, 1.0, 0.0, ())


def confidences(presence: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n] of each principal of a place: how sure it is that it is there, times its share of all who may be.

    Not of their requests: who asks most is not for that more likely the one that an alarm is about. Of n principals
    that are equally sure to be there each has at most 1/n.
    """
    whole: NDArray[np.float64] = presence * presence / max(float(presence.sum()), 1e-9)
    return whole


def crowd(presence: NDArray[np.float64]) -> float:
    """About how many there are: 1 / sum of squared shares (Simpson's index, inverted); 1 of none."""
    shares = presence / max(float(presence.sum()), 1e-9)
    return max(1.0, 1.0 / max(float((shares * shares).sum()), 1e-9)) if len(presence) else 1.0


def named(place: str, who: str, joined: Joined, confidence: float) -> str:
    """That somebody used a place, in words."""
    others = int((joined.presence[1:] >= _THERE).sum())
    beside = "" if not others else "; another principal did, too" if others == 1 else f"; {others} others did, too"
    used = f"{who} used {place} in about {max(joined.counts[0], 1.0):.0f} events of the last hour"
    return f"{used}, the last {joined.ages[0]:.0f} s before (confidence {confidence:.2f}){beside}"


def shared(place: str, who: list[str], joined: Joined, values: NDArray[np.float64]) -> str:
    """That several did, or one not surely enough, in words."""
    quoted = ", ".join(f"{one} {value:.2f}" for one, value in zip(who[:_QUOTED], values.tolist(), strict=False))
    there = int((joined.presence >= _THERE).sum())
    more = f" and {there - _QUOTED} more" if there > _QUOTED else ""
    return f"nobody is named behind {place}, for none is sure enough: {quoted}{more}"


def leased(address: str, holder: str, since: float) -> str:
    """To whom an address is leased, in words."""
    at = datetime.fromtimestamp(since, UTC)
    return f"{address} is leased to {holder}, as it calls itself, since {at:%d %B %H:%M:%S} UTC"


def stolen(who: str, elsewhere: list[str]) -> str:
    """That one session is in use at several places."""
    return f"the same session of {who} is in use at {', '.join(elsewhere[:_QUOTED])} meanwhile: it may be stolen"
