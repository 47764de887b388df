"""A refusal is the answer to credentials that prove nobody: a value, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Error = Literal[
    "",
    "invalid_request",
    "invalid_token",
    "insufficient_scope",
    "invalid_dpop_proof",  # RFC 9449 section 7.1
    "use_dpop_nonce",  # RFC 9449 section 9
    "invalid_signature",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nobody was identified. `error` goes to the caller (RFC 6750 section 3.1), `detail` to our log only."""

    error: Error
    detail: str

    @property
    def status(self) -> int:
        """HTTP status: 400 for a request that no client should send, else 401."""
        return 400 if self.error == "invalid_request" else 401
