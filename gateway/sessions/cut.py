"""A cut: the end of live sessions, by one cause."""

from __future__ import annotations

import secrets

import msgspec


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Why sessions end, and since when we know: one for all that one signal ends for one reason."""

    id: str  # "c-" and 16 hex digits; the caller's next refusal names it
    reason: str  # machine-readable, fit for the caller: "blocked", "token_expired", a policy's own
    signal: str  # what asked for it: "block", "risk", "policy", "expiry", …
    arrived: float  # when the signal came, in seconds of a clock that never goes back

    @classmethod
    def because(cls, reason: str, signal: str, arrived: float) -> Cut:
        """A cut with an id of its own."""
        return cls(id=f"c-{secrets.token_hex(8)}", reason=reason, signal=signal, arrived=arrived)
