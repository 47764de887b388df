"""What goes into an exchange beside the request, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.transactions import SigningKey
from policy import Principal, encode_json

# RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 9449 sections 5 and 8
ErrorCode = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "temporarily_unavailable",
]
DPOP_KEY, CERTIFICATE = "jkt", "x5t#S256"  # members of cnf: RFC 9449 section 6.1, RFC 8705 section 3.1


class Parties(msgspec.Struct, frozen=True):
    """Who takes part, each proven already."""

    subject: Principal  # whom the subject token speaks of, with its chain of actors
    ends: float  # Unix seconds: the subject token's own exp, without leeway
    actor: Principal  # the agent that will act
    proven: Mapping[str, str] = {}  # what this request's sender proved to hold, as a cnf claim names it


class Issued(msgspec.Struct, frozen=True):
    """A token that may be signed (RFC 9068): its claims."""

    claims: Mapping[str, Any]
    seconds: int  # that it lives
    scope: str

    @property
    def token_type(self) -> str:
        """How it is shown (RFC 9449 section 5, RFC 8705 section 3)."""
        return "DPoP" if DPOP_KEY in self.claims["cnf"] else "Bearer"

    def signed(self, key: SigningKey) -> str:
        """The token."""
        return key.sign("at+jwt", encode_json(self.claims).encode())


class ExchangeError(msgspec.Struct, frozen=True):
    """Why there is no token. The caller is told; `description` is printable ASCII without quotes."""

    error: ErrorCode
    description: str
    headers: Mapping[str, str] = {}  # "DPoP-Nonce" for use_dpop_nonce, "WWW-Authenticate" for invalid_client

    @property
    def status(self) -> int:
        """The HTTP status."""
        return {"invalid_client": 401, "temporarily_unavailable": 503}.get(self.error, 400)
