"""Never block: what keeps the bank alive. Nobody overrides this rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from defense_lines.guard.limits import GuardLimits
from defense_lines.guard.spans import Span, span
from policy import Target


@dataclass(frozen=True, slots=True)
class Protected:
    """What may never be hit, parsed once."""

    spans: tuple[tuple[str, Span], ...]
    principals: frozenset[str]

    @classmethod
    def of(cls, limits: GuardLimits) -> Protected:
        """Raises ValueError if an address or range of the list is none."""
        spans = tuple((text, span(text)) for text in limits.never_block_addresses)
        return cls(spans, frozenset(limits.never_block_principals))


def never_block(target: Target, protected: Protected, owners: Iterable[str] = ()) -> str | None:
    """Reason to refuse, or None. `owners` are the principals and actors seen in a session target."""
    if target.kind in ("address", "range"):
        return _overlap(span(target.value), protected)
    for name in (target.value, *owners):
        if name in protected.principals:
            return f"{name} must never be blocked"
    return None


def _overlap(wanted: Span, protected: Protected) -> str | None:
    for text, kept in protected.spans:
        if wanted.overlaps(kept):
            return f"overlaps {text}, which must never be blocked"
    return None
