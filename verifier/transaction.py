"""A transaction is what the gateway says of a request: who asks, on whose behalf, of which service, and how surely."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode
from typing import Annotated, Any, Final

import jwt
import msgspec

from verifier.keys import Keys

HEADER: Final = "txn-token"  # of the HTTP request, and in gRPC's metadata
LONGEST: Final = 32_768  # characters; a longer token is not read
_TYP: Final = "txntoken+jwt"
_SKEW: Final = 5.0  # seconds that the gateway's clock may be ahead of ours; past its end no token is good
_LONGEST_CHAIN: Final = 16
_JWS = jwt.PyJWS()
_WRONG = (msgspec.MsgspecError, ValueError, RecursionError)


class NotVerified(Exception):
    """The token proves nothing. The message says why, and may be told to whoever sent it."""


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. Ids are `kind:name`: `person:alice`, `agent:invoice-bot`, `workload:spiffe://bank.example/batch`."""

    id: str  # `txn`: the same in every request that this token is used for
    subject: str  # on whose behalf
    actors: tuple[str, ...] = ()  # who acts for the subject: the one that acts now first, then who handed on to it
    scopes: tuple[str, ...] = ()
    issued: int  # Unix seconds
    expires: int  # Unix seconds
    assurance: str = ""  # acr of the subject's authentication
    authenticated: float = 0.0  # Unix seconds at which that was, 0 if unknown
    client: str = ""  # the OAuth client that was used
    proof: tuple[str, ...] = ()  # how the caller proved itself to the gateway: "bearer", "dpop", "mtls"
    vouched_by: str = ""  # who knows the subject: issuer URL or trust domain
    obligations: dict[str, Any] = {}  # what the gateway's decision obliges this service to

    @property
    def actor(self) -> str:
        """Id of who acts now: the current actor, or the subject itself."""
        return self.actors[0] if self.actors else self.subject


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    alg: str
    typ: str
    kid: Annotated[str, msgspec.Meta(max_length=128)]


class _Requester(msgspec.Struct):
    iss: str = ""
    authn: tuple[str, ...] = ()


class _Context(msgspec.Struct):
    act: dict[str, Any] | None = None
    acr: str = ""
    auth_time: float = 0.0
    client: str = ""
    obligations: dict[str, Any] = {}


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    sub: str
    txn: str
    iat: int
    exp: int
    scope: str
    req_wl: str
    rctx: _Requester = msgspec.field(default_factory=_Requester)
    tctx: _Context = msgspec.field(default_factory=_Context)


_HEADER = msgspec.json.Decoder(_Header)
_CLAIMS = msgspec.json.Decoder(_Claims)


def verify(token: str, keys: Keys, *, issuer: str, audience: str, now: float | None = None) -> Transaction:
    """The transaction that a token tells of, if the gateway, `issuer`, signed it with one of `keys` for this service,
    `audience`, and it lives at `now` (Unix seconds; none means the clock). Raises NotVerified.
    """
    key = keys.get(name := key_id(token))
    if key is None:
        raise NotVerified(f"signed with a key that the gateway does not publish: {name!a}")
    try:
        claims = _CLAIMS.decode(_JWS.decode(token, key, algorithms=["ES256"]))
    except jwt.PyJWTError as error:
        raise NotVerified(f"not signed by the gateway: {error}") from None
    except _WRONG as error:
        raise NotVerified(f"claims: {error}") from None
    wrong = _wrong(claims, issuer, audience, time.time() if now is None else now)
    if wrong:
        raise NotVerified(wrong)
    return _transaction(claims)


def key_id(token: str) -> str:
    """The id of the key that a token claims to be signed with; nothing is verified. Raises NotVerified for what is no
    transaction token.
    """
    first, _, _ = token.partition(".") if len(token) <= LONGEST else ("", "", "")
    try:
        header = _HEADER.decode(urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except _WRONG as error:
        raise NotVerified(f"not a transaction token: {error}") from None
    if header.typ != _TYP:
        raise NotVerified(f"not a transaction token: typ is {header.typ!a}")
    return header.kid


def _wrong(claims: _Claims, issuer: str, audience: str, now: float) -> str:
    checks = (
        (claims.iss == issuer, f"issued by {claims.iss!a}, not by {issuer!a}"),
        (claims.aud == audience, f"meant for {claims.aud!a}, not for {audience!a}"),
        (now < claims.exp, f"its life was over {now - claims.exp:.1f} s ago"),
        (claims.iat <= now + _SKEW, f"issued {claims.iat - now:.1f} s in the future"),
    )
    return next((reason for holds, reason in checks if not holds), "")


def _transaction(claims: _Claims) -> Transaction:
    context = claims.tctx
    return Transaction(
        id=claims.txn,
        subject=claims.sub,
        actors=_actors(context.act),
        scopes=tuple(claims.scope.split(" ")),
        issued=claims.iat,
        expires=claims.exp,
        assurance=context.acr,
        authenticated=context.auth_time,
        client=context.client,
        proof=claims.rctx.authn,
        vouched_by=claims.rctx.iss,
        obligations=context.obligations,
    )


def _actors(act: Any) -> tuple[str, ...]:
    """The chain in an `act` claim (RFC 8693 section 4.1)."""
    actors: list[str] = []
    while act is not None:
        name = act.get("sub") if isinstance(act, dict) else None
        if not isinstance(name, str) or len(actors) == _LONGEST_CHAIN:
            raise NotVerified("the chain of actors cannot be read")
        actors.append(name)
        act = act.get("act")
    return tuple(actors)
