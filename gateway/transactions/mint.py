"""Minting: what a transaction token says, and how long one serves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from prometheus_client import Counter

from gateway.config import Transactions
from gateway.transactions.act import act_claim
from gateway.transactions.keys import KeyRing
from gateway.transactions.remembered import Minted, Remembered
from policy import Principal, encode_json

HEADER: Final = "txn-token"  # draft-ietf-oauth-transaction-tokens-10, "Txn-Token" HTTP Header
TYP: Final = "txntoken+jwt"
_MINTED = Counter("portcullis_gateway_transaction_tokens_minted_total", "Transaction tokens signed")
_ENCODER = msgspec.json.Encoder()


class Claims(msgspec.Struct, omit_defaults=True):
    """What the draft requires, and our two contexts. Of the caller's token nothing else gets in."""

    iss: str
    aud: str
    sub: str
    txn: str
    iat: int
    exp: int
    scope: str
    req_wl: str  # the workload that asked for the token: the gateway
    rctx: dict[str, Any]  # how the requester proved itself, and who vouches
    tctx: dict[str, Any]  # who acts, how well the subject is known, and what the decision obliges to


class Minter:
    """Mints transaction tokens. One that says the same is used again until half its life is over, or a signal comes.
    `unique` makes transaction ids. Does no I/O: keys are put in, time is passed in.
    """

    def __init__(self, settings: Transactions, ring: KeyRing, unique: Callable[[], str]) -> None:
        self._settings = settings
        self.ring = ring
        self._unique = unique
        self._remembered = Remembered(settings.remembered_mb << 20)

    def put_ring(self, ring: KeyRing) -> None:
        """Sign with these keys from now on. What the others signed stays good: they are published until it is dead."""
        self.ring = ring

    def token(
        self, principal: Principal, audience: str, now: float, obligations: Mapping[str, Any] | None = None
    ) -> str:
        """The token by which `audience`, a service, learns who asks at `now` (Unix seconds). It lives no longer than
        the proof of who asks. `obligations`: those of the decision that lets the request pass.
        """
        obliged = encode_json(obligations) if obligations else ""
        says = (
            audience,
            principal.id,
            principal.issuer,
            principal.actors,
            principal.scopes,
            principal.proof,
            principal.assurance,
            principal.authenticated,
            principal.client,
            obliged,
        )
        known = self._remembered.get(says)
        ends = principal.expires or math.inf
        if known is not None and now < known.serves_until and known.expires <= ends:
            return known.token
        minted = self._mint(principal, audience, obliged, ends, now)
        self._remembered.put(says, principal.chain(), minted)
        return minted.token

    def forget(self, principal: str) -> None:
        """Mint anew for whoever has this principal in the chain: something about it changed."""
        self._remembered.forget(principal)

    def forget_all(self) -> None:
        """Mint anew for everybody."""
        self._remembered.clear()

    def _mint(self, principal: Principal, audience: str, obliged: str, ends: float, now: float) -> Minted:
        issued = int(now)
        expires = math.ceil(min(issued + self._settings.life_seconds, ends))
        claims = Claims(
            iss=self._settings.issuer,
            aud=audience,
            sub=principal.id,
            txn=self._unique(),
            iat=issued,
            exp=expires,
            scope=" ".join(principal.scopes),
            req_wl=self._settings.issuer,
            rctx={"iss": principal.issuer, "authn": principal.proof},
            tctx=_context(principal, obliged),
        )
        _MINTED.inc()
        token = self.ring.signer(now).sign(TYP, _ENCODER.encode(claims))
        return Minted(token, expires, now + (expires - now) / 2)


def _context(principal: Principal, obliged: str) -> dict[str, Any]:
    said = {
        "act": act_claim(principal.actors),
        "acr": principal.assurance,
        "auth_time": principal.authenticated,
        "client": principal.client,
        "obligations": msgspec.Raw(obliged.encode()) if obliged else None,
    }
    return {name: value for name, value in said.items() if value}
