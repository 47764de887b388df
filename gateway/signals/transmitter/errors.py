"""What receivers say is wrong with a token (RFC 8935 section 2.4, RFC 8936 section 2.4.4)."""

from __future__ import annotations

from typing import Final

import structlog

_KNOWN: Final = frozenset(
    {
        "access_denied",
        "authentication_failed",
        "invalid_audience",
        "invalid_issuer",
        "invalid_key",
        "invalid_request",
        "invalid_state",
    }
)
_LONGEST: Final = 200  # characters on the log
_log = structlog.get_logger()


def err_of(said: object) -> str | None:
    """The error code in what a receiver says; None where it says none."""
    err = said.get("err") if isinstance(said, dict) else None
    return err if isinstance(err, str) and err else None


def refused(stream: str, jti: str, err: str, description: object) -> str:
    """Put on the log that a receiver does not take an event. Returns how the event ended, for the count."""
    why = description[:_LONGEST] if isinstance(description, str) else ""
    _log.warning("signal refused", stream=stream, jti=jti, err=err[:_LONGEST], description=why)
    return f"refused_{err if err in _KNOWN else 'other'}"
