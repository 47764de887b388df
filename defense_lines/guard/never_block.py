"""Never block: what keeps the bank alive. Nobody overrides or approves past this rule."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from defense_lines.guard.limits import GuardLimits
from defense_lines.guard.spans import Span, span
from policy import Target

# What every network lives by: RFC 1122 section 3.2.1.3, RFC 3927, RFC 5771, RFC 4291 sections 2.5.2, 2.5.3, 2.5.6, 2.7.
_EVERYBODYS = (
    ("0.0.0.0/8", "this network"),
    ("127.0.0.1/32", "loopback"),  # the rest of 127.0.0.0/8 only where the configuration's list says so, as it does
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("::/128", "no address"),
    ("::1/128", "loopback"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
)


@dataclass(frozen=True, slots=True)
class Protected:
    """What may never be hit, parsed once; spans in order and apart, each with the words that name it."""

    spans: tuple[tuple[Span, str], ...]
    starts: tuple[int, ...]
    principals: frozenset[str]

    @classmethod
    def of(cls, limits: GuardLimits) -> Protected:
        """Raises ValueError if an address or range of the list is none."""
        named = [(text, "") for text in limits.never_block_addresses]
        spans = _apart(
            (span(text), f"{text} ({what})" if what else text)
            for text, what in (*named, *limits.own_path, *_EVERYBODYS)
        )
        return cls(spans, tuple(at.first for at, _ in spans), frozenset(limits.never_block_principals))


def never_block(target: Target, protected: Protected, owners: Iterable[str] = ()) -> str | None:
    """Reason to refuse, or None. `owners` are the principals and actors seen in a session target."""
    if target.kind in ("address", "range"):
        return _overlap(span(target.value), protected)
    for name in (target.value, *owners):
        if name in protected.principals:
            return f"{name} must never be blocked"
    return None


def _overlap(wanted: Span, protected: Protected) -> str | None:
    place = bisect_right(protected.starts, wanted.last) - 1
    if place < 0 or not wanted.overlaps(protected.spans[place][0]):
        return None
    return f"overlaps {protected.spans[place][1]}, which must never be blocked"


def _apart(spans: Iterable[tuple[Span, str]]) -> tuple[tuple[Span, str], ...]:
    """Without those that lie in others: prefixes are nested or apart. Of two that are the same the first stays."""
    kept: list[tuple[Span, str]] = []
    for at, text in sorted(spans, key=lambda pair: (pair[0].first, -pair[0].last)):
        if not kept or at.first > kept[-1][0].last:
            kept.append((at, text))
    return tuple(kept)
