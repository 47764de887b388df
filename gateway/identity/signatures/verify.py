"""Verification (RFC 9421 section 3.2): a signature counts if it covers what it must, in its time, once, by a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from gateway.config import HttpSignatures
from gateway.identity.jwk import PublicKey
from gateway.identity.refusal import Refusal
from gateway.identity.signatures.algorithms import algorithm_of, verifies
from gateway.identity.signatures.base import signature_base
from gateway.identity.signatures.content import check_digest, may_have_content
from gateway.identity.signatures.message import Message
from gateway.identity.signatures.presented import Presented, presented

_LONGEST = 86_400  # seconds from `created` to `expires`, as Web Bot Auth advises
# Components that stand for others: who covers one of the set has covered the name.
_PARTS = {
    "@scheme": {"@target-uri"},
    "@authority": {"@target-uri"},
    "@path": {"@target-uri", "@request-target"},
    "@query": {"@target-uri", "@request-target"},
}


class Replay(Protocol):
    """Remembers what came once, for up to the longest that a signature may be accepted: `max_age_seconds` and twice
    `leeway_seconds`.
    """

    def first(self, key: bytes, until: float, now: float) -> object:
        """True if `key` did not come before; it is remembered until `until` (Unix seconds)."""
        ...


class Signed(msgspec.Struct, frozen=True, gc=False):
    """A signature that a key has verified."""

    keyid: str  # the key's thumbprint
    label: str
    created: float  # Unix seconds
    expires: float  # Unix seconds from which the signature is not accepted any more
    components: tuple[str, ...]  # what it covers, as Signature-Input writes it
    agent: str  # the origin that Signature-Agent names, "" for none; whether the key is there is the caller's to see


def verify_signature(
    message: Message, keys: Mapping[str, PublicKey], *, now: float, settings: HttpSignatures, replay: Replay
) -> Signed | Refusal:
    """Verify the signature that has our tag at `now` (Unix seconds). `keys`: by thumbprint (RFC 7638), the `keyid`.
    Whether the request's authority is ours is the caller's to see.
    """
    claim = presented(message, settings.tag)
    if isinstance(claim, Refusal):
        return claim
    until = min(claim.expires, claim.created + settings.max_age_seconds) + settings.leeway_seconds
    try:
        _check_coverage(claim, message, settings)
        _check_times(claim, settings, until, now)
        _check_signature(claim, message, keys)
        _check_content(claim, message, settings)
        _check_nonce(claim, settings, replay, until, now)
    except ValueError as error:
        return Refusal("invalid_signature", str(error))
    components = tuple(map(str, claim.components))
    return Signed(claim.keyid, claim.label, claim.created, until, components, claim.agent)


def _check_coverage(claim: Presented, message: Message, settings: HttpSignatures) -> None:
    covered = _covered(claim)
    for name in ("@authority", *settings.components):
        if covered.isdisjoint({name} | _PARTS.get(name, set())) and _there(name, message):
            raise ValueError(f"{name} is not covered")


def _covered(claim: Presented) -> set[str]:
    return {component.whole for component in claim.components}


def _there(name: str, message: Message) -> bool:
    """Whether a request has what must be covered, or may have it."""
    if name == "content-digest":
        return may_have_content(message)
    if name == "@query":
        return message.query is not None
    return name.startswith("@") or bool(message.values(name))


def _check_times(claim: Presented, settings: HttpSignatures, until: float, now: float) -> None:
    if claim.created > now + settings.leeway_seconds:
        raise ValueError("created in the future")
    if not 0 < claim.expires - claim.created <= _LONGEST:
        raise ValueError(f"expires is not within {_LONGEST} seconds after created")
    if now >= until:
        raise ValueError("expired, or created too long ago")


def _check_signature(claim: Presented, message: Message, keys: Mapping[str, PublicKey]) -> None:
    key = keys.get(claim.keyid)
    if key is None:
        raise ValueError(f"no key {claim.keyid!r}")
    if claim.algorithm not in (None, algorithm_of(key)):
        raise ValueError(f"alg {claim.algorithm!r} is not the key's")
    if not verifies(key, signature_base(message, claim.components, claim.parameters), claim.signature):
        raise ValueError("the signature is not this key's over this request")


def _check_content(claim: Presented, message: Message, settings: HttpSignatures) -> None:
    if message.body is not None and "content-digest" in _covered(claim):
        check_digest(", ".join(message.values("content-digest")), message.body)
    elif message.body is None and "content-digest" in settings.components and may_have_content(message):
        raise ValueError("the content was not read, so that its digest cannot be compared")


def _check_nonce(claim: Presented, settings: HttpSignatures, replay: Replay, until: float, now: float) -> None:
    """Last, so that only who holds the key can use a nonce up."""
    if not claim.nonce:
        if settings.nonce:
            raise ValueError("no nonce")
        return
    if not replay.first(f"http-signature {claim.keyid} {claim.nonce}".encode(), until, now):
        raise ValueError("the nonce came before, or cannot be remembered")
