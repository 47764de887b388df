"""Invariant: whatever a proof looks like, it is refused and nothing is remembered, or the key it shows signed it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config import Dpop
from gateway.identity import Refusal
from gateway.identity.dpop import Binding, Proof, binding, replay_store, verify_proof
from gateway.identity.nonces import Nonces

NOW = 1_800_000_000.0
URL = "https://api.bank.example/"
SETTINGS = Dpop(algorithms=("ES256", "EdDSA", "RS256"))
KEY = ec.generate_private_key(ec.SECP256R1())
JWK: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
)
_member = _json | st.sampled_from(["EC", "OKP", "RSA", "P-256", "Ed25519", "AQAB", "A" * 43, JWK["x"], JWK["y"]])
_jwk = st.dictionaries(
    st.sampled_from(["kty", "crv", "x", "y", "n", "e", "use", "key_ops", "alg", "kid", "d"]), _member
)
_header = st.fixed_dictionaries(
    {},
    optional={
        "typ": _json | st.just("dpop+jwt"),
        "alg": _json | st.sampled_from(["ES256", "EdDSA", "RS256", "none", "HS256"]),
        "jwk": _json | _jwk | st.just(JWK),
        "crit": _json,
    },
)
_claim = _json | st.sampled_from(["GET", URL, NOW, 1e308, -1e308, 10**400])
_claims = st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf"]), _claim)


def ask(proof: str, url: str = URL, method: str = "GET", bound: Binding | None = None) -> tuple[Proof | Refusal, int]:
    """The answer, and how many proofs are remembered."""
    store = replay_store(SETTINGS, bytes(32))
    nonces = Nonces(bytes(32), 300)
    values: dict[str, Any] = {"method": method, "url": url, "bound": bound, "now": NOW, "settings": SETTINGS}
    return verify_proof(proof, **values, replay=store, nonces=nonces), len(store)


def refused(answer: tuple[Proof | Refusal, int]) -> None:
    assert isinstance(answer[0], Refusal)
    assert answer[0].status == 401
    assert answer[1] == 0


def encode(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


@given(st.text())
@example("a" * 1_000_000)
@example("." * 1_000_000)
@example("\udc80.\udc80.\udc80")
def test_any_text(proof: str) -> None:
    refused(ask(proof))


@given(st.binary())
def test_any_bytes(proof: bytes) -> None:
    refused(ask(proof.decode("latin-1")))


@given(st.binary(), st.binary(), st.binary())
def test_any_three_parts(header: bytes, payload: bytes, signature: bytes) -> None:
    refused(ask(".".join(map(encode, (header, payload, signature)))))


@given(_header, _claims, st.binary() | st.binary(min_size=64, max_size=64))
def test_any_json_that_nobody_signed(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> None:
    refused(ask(".".join(map(encode, (json.dumps(header).encode(), json.dumps(claims).encode(), signature)))))


def signed(payload: bytes) -> str:
    return jwt.PyJWS().encode(payload, KEY, "ES256", {"typ": "dpop+jwt", "jwk": JWK})


@given(st.binary())
def test_any_signed_bytes(payload: bytes) -> None:
    refused(ask(signed(payload)))


@given(_claims)
@example({"jti": "j", "htm": "GET", "htu": URL, "iat": NOW})
def test_any_signed_claims_hold_only_if_they_say_so(claims: dict[str, Any]) -> None:
    answer, remembered = ask(signed(json.dumps(claims).encode()))
    if isinstance(answer, Proof):
        assert (answer.jti, claims["htm"], claims["htu"], claims["iat"]) == (claims["jti"], "GET", URL, NOW)
        assert remembered == 1
    else:
        refused((answer, remembered))


@given(st.text(), st.text())
def test_any_request(url: str, method: str) -> None:
    proof = signed(json.dumps({"jti": "j", "htm": "GET", "htu": URL, "iat": NOW}).encode())
    refused(ask(proof, "x" + url, method))


@given(st.text(), st.text(), _json | st.dictionaries(st.just("jkt"), _json))
def test_any_binding(scheme: str, token: str, confirmation: Any) -> None:
    bound = binding(scheme, token, confirmation)
    refused(ask("", bound=bound) if isinstance(bound, Binding) else (bound or Refusal("", ""), 0))
