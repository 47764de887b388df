"""Proof of possession by DPoP (RFC 9449): that the sender of a request holds the key that its token is bound to.

In order: verify the access token, ask for its `binding`, and let `verify_proof` check a proof against that. Only proofs
by the right key reach the replay store, so nobody fills it without a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from gateway.config import Dpop
from gateway.identity import base64url, jwk, jws, uri
from gateway.identity.jwk import PublicKey
from gateway.identity.jws import Jws
from gateway.identity.nonces import Nonces
from gateway.identity.refusal import Refusal
from gateway.identity.replay import ReplayStore

LONGEST = 8_192  # characters of a proof; one by the largest RSA key that is accepted, for a long URI, has 5,000


class Proof(msgspec.Struct, frozen=True, gc=False):
    """A proof that holds: which key was shown, and when."""

    thumbprint: str  # of the key, RFC 7638
    jti: str
    issued: float  # Unix seconds, by the client's clock


class Binding(msgspec.Struct, frozen=True, gc=False):
    """A token and the key that it is bound to."""

    token: str
    thumbprint: str  # its cnf.jkt


class _Claims(msgspec.Struct):
    """RFC 9449 section 4.2; `exp` and `nbf` are not asked for, but mean what they always mean (RFC 7519)."""

    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    htm: str
    htu: str
    iat: float
    ath: str | None = None
    nonce: str | None = None
    exp: float | None = None
    nbf: float | None = None


def binding(scheme: str, token: str, confirmation: Any) -> Binding | Refusal | None:
    """What a proof must be for, by the Authorization scheme and the verified token's `cnf` claim (None without one).

    None where there is nothing to prove; a refusal where scheme and token do not fit: a bound token is no bearer token,
    and DPoP needs a bound one (RFC 9449 sections 7.1 and 7.2).
    """
    bound = isinstance(confirmation, dict) and "jkt" in confirmation
    shown = scheme.lower() == "dpop"
    if shown and not bound:
        return Refusal("invalid_token", "a DPoP token that is not bound to a key")
    if bound and not shown:
        return Refusal("invalid_token", "a bearer token that is bound to a key")
    if not bound:
        return None
    thumbprint = confirmation["jkt"]
    fit = isinstance(thumbprint, str) and thumbprint != ""
    return Binding(token, thumbprint) if fit else Refusal("invalid_token", "cnf.jkt is no thumbprint")


def replay_store(settings: Dpop, secret: bytes) -> ReplayStore:
    """A store that holds each proof for as long as it could be accepted. `secret`: 32 random bytes."""
    longest = settings.max_age_seconds + 2 * settings.leeway_seconds + 1  # a second for rounding
    return ReplayStore("dpop", settings.replay_entries, longest, secret)


def verify_proof(
    proof: str,
    *,
    method: str,
    url: str,
    bound: Binding | None,
    now: float,
    settings: Dpop,
    replay: ReplayStore,
    nonces: Nonces,
    born: float = 0.0,
) -> Proof | Refusal:
    """Check the value of a request's one DPoP header, in the order of RFC 9449 section 4.3, and the replay last.

    `url` is the request's as its sender saw it. `bound` is None where no token came, but shall be issued for the key.
    `now` is in Unix seconds. A proof that was made when what `replay` remembers began (`born`, Unix seconds), or
    before, may have been seen by one that is gone: it counts with a nonce, and its sender is asked for one.
    """
    shown = _signed(proof, settings.algorithms)
    if isinstance(shown, Refusal):
        return shown
    signed, thumbprint = shown
    try:
        claims = msgspec.convert(jws.object_of(signed.payload), _Claims)
    except (msgspec.ValidationError, ValueError) as error:
        return _invalid(f"claims: {error}")
    wrong = (
        _other_request(claims, method, url)
        or _untimely(claims, settings, nonces, now, born)
        or _other_token(claims, thumbprint, bound)
        or _seen(claims, thumbprint, settings, replay, now)
    )
    return wrong or Proof(thumbprint, claims.jti, claims.iat)


def challenge(realm: str, algorithms: Collection[str], error: str = "") -> str:
    """The WWW-Authenticate header of RFC 9449 section 7.1; without an error code where no credentials came."""
    return f'DPoP realm="{realm}"' + (f', error="{error}"' if error else "") + f', algs="{" ".join(algorithms)}"'


def _signed(proof: str, algorithms: Collection[str]) -> tuple[Jws, str] | Refusal:
    """The message and the thumbprint of the key in it that has signed it."""
    signed = jws.read(proof, LONGEST, allowed=("jwk",))
    if isinstance(signed, str):
        return _invalid(signed)
    if signed.typ != "dpop+jwt":
        return _invalid("typ is not dpop+jwt")
    if signed.algorithm not in algorithms:
        return _invalid("alg is not accepted")
    key = _key(signed.message.partition(b".")[0])
    if key is None:
        return _invalid("jwk is no public key that is fit to sign with")
    return (signed, key.thumbprint) if signed.signed_by(key) else _invalid("signature")


@lru_cache(maxsize=2048)
def _key(header: bytes) -> PublicKey | None:
    """The key in an encoded header. All proofs of a client have the same, and to read it takes a third of all time."""
    fields = jws.object_of(base64url.decode(header.decode()))
    return jwk.public_key(fields.get("jwk"))


def _other_request(claims: _Claims, method: str, url: str) -> Refusal | None:
    if claims.htm != method:
        return _invalid("htm is another method")
    named = uri.normal(claims.htu)
    if named is None:
        return _invalid("htu is no http URI")
    return None if named == uri.normal(url) else _invalid("htu is another resource")


def _untimely(claims: _Claims, settings: Dpop, nonces: Nonces, now: float, born: float) -> Refusal | None:
    if (settings.nonce or claims.iat <= born) and (claims.nonce is None or not nonces.fresh(claims.nonce, now)):
        return Refusal("use_dpop_nonce", "no fresh nonce")
    leeway = settings.leeway_seconds
    if claims.iat > now + leeway or (claims.nbf is not None and claims.nbf > now + leeway):
        return _invalid("issued in the future")
    if now > _end(claims, settings) or (claims.exp is not None and now >= claims.exp + leeway):
        return _invalid("too old")
    return None


def _end(claims: _Claims, settings: Dpop) -> float:
    return claims.iat + settings.max_age_seconds + settings.leeway_seconds


def _other_token(claims: _Claims, thumbprint: str, bound: Binding | None) -> Refusal | None:
    if bound is None:
        return None
    digest = hashlib.sha256(bound.token.encode(errors="replace")).digest()
    if claims.ath != base64url.encode(digest):
        return _invalid("ath is not this token's hash")
    return None if thumbprint == bound.thumbprint else Refusal("invalid_token", "bound to another key")


def _seen(claims: _Claims, thumbprint: str, settings: Dpop, replay: ReplayStore, now: float) -> Refusal | None:
    first = replay.first(f"{thumbprint}.{claims.jti}".encode(), _end(claims, settings), now)
    if first is None:
        return _invalid("the replay store is full")
    return None if first else _invalid("jti was seen before")


def _invalid(detail: str) -> Refusal:
    return Refusal("invalid_dpop_proof", detail)
