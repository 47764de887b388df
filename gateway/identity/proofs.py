"""What a request proves beside its token, each time anew: that its sender holds a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.config import Dpop, HttpSignatures, Identity
from gateway.identity import dpop
from gateway.identity.credentials import Credentials
from gateway.identity.dpop import Binding, Proof
from gateway.identity.jwk import PublicKey
from gateway.identity.nonces import Nonces
from gateway.identity.refusal import Error, Refusal
from gateway.identity.replay import ReplayStore
from gateway.identity.signatures import Message, Signed, derived, verify_signature


class SigningKeys(Protocol):
    """Keys that agents sign with."""

    def at(self, now: float) -> Mapping[str, PublicKey]:
        """Those that count at `now` (Unix seconds), by thumbprint."""
        ...


class Proofs:
    """Checks proofs, and remembers them so that none counts twice. `secret`: 32 random bytes; `born`: since when (Unix
    seconds) everything is remembered.
    """

    def __init__(self, settings: Identity, keys: SigningKeys, secret: bytes, born: float = 0.0) -> None:
        self._authorities = settings.authorities
        self._dpop = _Dpop(settings.dpop, secret, born) if settings.dpop else None
        self._signatures = _Signatures(settings.signatures, keys, secret, born) if settings.signatures else None

    def possession(self, credentials: Credentials, bound: Binding, now: float) -> Proof | Refusal:
        """That the sender holds the key that a token is bound to."""
        if self._dpop is None:
            return Refusal("invalid_token", "the token is bound to a key, and DPoP is not configured")
        return self._foreign(credentials, "invalid_dpop_proof") or self._dpop.check(credentials, bound, now)

    def held(self, credentials: Credentials, now: float) -> Proof | Refusal:
        """Which key the sender of a request holds, to which a token shall be bound."""
        if self._dpop is None:
            return Refusal("invalid_dpop_proof", "DPoP is not configured")
        return self._foreign(credentials, "invalid_dpop_proof") or self._dpop.check(credentials, None, now)

    def signature(self, credentials: Credentials, now: float) -> Signed | Refusal | None:
        """Whose key signed the request; None if none did, or signatures are not configured."""
        request = credentials.request
        if request is None or self._signatures is None or not credentials.signed:
            return None
        return self._foreign(credentials, "invalid_signature") or self._signatures.check(request, now)

    def nonce(self, now: float) -> str:
        """What a DPoP-Nonce header says; empty if proofs need none."""
        return self._dpop.nonce(now) if self._dpop else ""

    def _foreign(self, credentials: Credentials, error: Error) -> Refusal | None:
        """A request under another name than ours: whoever was sent a proof could send it on to us under its own."""
        request = credentials.request
        ours = request is None or derived("@authority", request) in self._authorities
        return None if ours else Refusal(error, "the authority is not one of ours")


class _Dpop:
    def __init__(self, settings: Dpop, secret: bytes, born: float) -> None:
        self._settings = settings
        self._born = born
        self._replay = dpop.replay_store(settings, secret)
        self._nonces = Nonces(secret, settings.nonce_seconds)

    def check(self, credentials: Credentials, bound: Binding | None, now: float) -> Proof | Refusal:
        request = credentials.request
        if request is None or not credentials.dpop:
            return Refusal("invalid_dpop_proof", "no proof")
        return dpop.verify_proof(
            credentials.dpop,
            method=request.method,
            url=f"{request.scheme}://{request.authority}{request.path}",
            bound=bound,
            now=now,
            settings=self._settings,
            replay=self._replay,
            nonces=self._nonces,
            born=self._born,
        )

    def nonce(self, now: float) -> str:
        """Where one is wanted: always, or while there may be proofs from before we began."""
        old = now <= self._born + self._settings.max_age_seconds + self._settings.leeway_seconds
        return self._nonces.issue(now) if self._settings.nonce or old else ""


class _Signatures:
    def __init__(self, settings: HttpSignatures, keys: SigningKeys, secret: bytes, born: float) -> None:
        self._settings = settings
        self._born = born
        self._keys = keys
        longest = settings.max_age_seconds + 2 * settings.leeway_seconds + 1
        self._replay = ReplayStore("http_signature", settings.replay_entries, longest, secret)

    def check(self, request: Message, now: float) -> Signed | Refusal:
        keys = self._keys.at(now)
        signed = verify_signature(request, keys, now=now, settings=self._settings, replay=self._replay)
        if isinstance(signed, Signed) and signed.created <= self._born:
            return Refusal("invalid_signature", "made before this gateway began: it may have been seen already")
        return signed
