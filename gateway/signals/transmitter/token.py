"""Security event tokens (RFC 8417) as SSF profiles them (section 5.1): one event, `sub_id`, neither `sub` nor `exp`.

What waits is kept unsigned. It is signed when it goes out, by a key that is published then: a receiver may be away for
longer than keys live.
"""

from __future__ import annotations

import msgspec

from gateway.signals.transmitter.told import Told
from gateway.transactions import SigningKey

TYP = "secevent+jwt"


def payload(told: Told, issuer: str, audience: str, jti: str, now: float) -> bytes:
    """The claims as JSON. `now` (Unix seconds) is when the token is issued."""
    claims = {
        "iss": issuer,
        "aud": audience,
        "iat": int(now),
        "jti": jti,
        "txn": told.txn,
        "sub_id": told.subject,
        "events": {told.event: told.claims},
    }
    return msgspec.json.encode(claims)


def signed(claims: bytes, key: SigningKey) -> str:
    """The token as it goes out."""
    return key.sign(TYP, claims)
