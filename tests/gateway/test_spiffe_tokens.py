"""JWT-SVIDs: what is believed, and each thing that is not, for its own reason."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Identity, TrustDomain
from gateway.identity import Credentials, Identifier, Refusal
from gateway.identity.spiffe import Bundle, read_bundle, verify_jwt_svid
from policy import Principal
from tests.gateway.workloads import DOMAIN, SVID, document, jwk

NOW = 1_800_000_000.0
AUDIENCE = "bank"
_EC = ec.generate_private_key(ec.SECP256R1())
_WIDE = ec.generate_private_key(ec.SECP384R1())
_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_THEIRS = ec.generate_private_key(ec.SECP256R1())


def _bundle(*entries: Any) -> Bundle:
    bundle = read_bundle(document(*entries))
    assert not isinstance(bundle, str)
    return bundle


BUNDLES = {
    DOMAIN: _bundle(jwk(_EC, "k1"), jwk(_RSA, "r1"), jwk(_WIDE, "w1")),
    "other.example": _bundle(jwk(_THEIRS, "k1"), jwk(_THEIRS, "t1")),
    "empty.example": Bundle(),
}


def mint(key: Any = _EC, alg: str = "ES256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token; a claim or header that is None is left out."""
    claims = {"sub": SVID, "aud": [AUDIENCE], "exp": NOW + 300, "iat": NOW - 1, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.api_jws.encode(json.dumps(claims).encode(), key, alg, {"kid": "k1", "typ": "JWT", **(headers or {})})


def verify(token: str) -> Principal | Refusal:
    """Who a token names to this bank, now."""
    return verify_jwt_svid(token, BUNDLES, AUDIENCE, NOW)


def test_a_token_names_its_workload() -> None:
    batch = verify(mint(jti="j1"))
    assert isinstance(batch, Principal)
    assert (batch.id, batch.kind, batch.issuer) == (f"workload:{SVID}", "workload", DOMAIN)
    assert (batch.proof, batch.token) == (("bearer", "jwt-svid"), "j1")
    assert (batch.authenticated, batch.issued, batch.expires) == (NOW - 1, NOW - 1, NOW + 310)


@pytest.mark.parametrize(
    "token",
    [
        mint(aud=AUDIENCE),
        mint(aud=["others", AUDIENCE]),
        mint(iat=None),
        mint(headers={"typ": None}),
        mint(headers={"typ": "JOSE"}),
        mint(_RSA, "RS256", {"kid": "r1"}),
        mint(_RSA, "PS256", {"kid": "r1"}),
        mint(_WIDE, "ES384", {"kid": "w1"}),
        mint(exp=NOW - 9),
        mint(nbf=NOW + 9, iat=NOW + 9),
        mint(sub="spiffe://other.example/batch", key=_THEIRS),
    ],
)
def test_what_the_specification_allows_is_believed(token: str) -> None:
    assert isinstance(verify(token), Principal)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "not three parts"),
        (mint() + "=", "not three parts"),
        (mint() + "A" * 20_000, "longer than"),
        (mint(alg="none", key=None), "not three parts"),
        (mint(key="s" * 32, alg="HS256"), "alg 'HS256' is not a JWT-SVID's"),
        (mint(headers={"typ": "at+jwt"}), "typ 'at+jwt' is not a JWT-SVID's"),
        (mint(headers={"kid": ""}), "no kid"),
        (mint(headers={"kid": "k9"}), "its trust domain has no key 'k9'"),
        (mint(headers={"kid": "t1"}, key=_THEIRS), "its trust domain has no key 't1'"),
        (mint(headers={"jku": "https://evil.example"}), "header jku is not accepted"),
        (mint(headers={"crit": ["exp"]}), "header crit is not accepted"),
        (mint(key=_THEIRS), "not signed by its trust domain"),
        (mint(key=_EC, sub="spiffe://other.example/batch"), "not signed by its trust domain"),
        (mint(_RSA, "RS256"), "not signed by its trust domain"),
        (mint(_EC, "ES256", {"kid": "r1"}), "not signed by its trust domain"),
        (mint(sub="spiffe://evil.example/batch"), "its trust domain is not trusted"),
        (mint(sub="spiffe://empty.example/batch"), "its trust domain has no key 'k1'"),
        (mint(sub=None), "sub: not a text"),
        (mint(sub=7), "sub: not a text"),
        (mint(sub="person:alice"), "sub: no spiffe:// id"),
        (mint(sub="spiffe://bank.example"), "sub: the id of a trust domain"),
        (mint(sub="spiffe://bank.example/../root"), "sub: a path segment of dots"),
        (mint(aud=None), "audience"),
        (mint(aud="bank2"), "audience"),
        (mint(aud=[]), "audience"),
        (mint(aud={"bank": 1}), "audience"),
        (mint(exp=None), "no expiry"),
        (mint(exp=NOW - 11), "expired"),
        (mint(exp=0), "expired"),
        (mint(exp=NOW + 10**6), "expires too far in the future"),
        (mint(exp=10**400), "exp, nbf or iat is no time"),
        (mint(exp=str(NOW + 60)), "exp, nbf or iat is no time"),
        (mint(exp=True), "exp, nbf or iat is no time"),
        (mint(nbf="soon"), "exp, nbf or iat is no time"),
        (mint(nbf=NOW + 11), "not valid yet"),
        (mint(iat=NOW + 11), "issued in the future"),
    ],
)
def test_a_bad_token_is_refused_for_its_own_reason(token: str, why: str) -> None:
    answer = verify(token)
    assert isinstance(answer, Refusal)
    assert (answer.error, answer.status) == ("invalid_token", 401)
    assert answer.detail.startswith(why)


def test_a_claim_that_stands_twice_is_refused() -> None:
    payload = json.dumps({"sub": SVID, "aud": AUDIENCE, "exp": NOW + 60})[:-1].encode() + b',"aud":"bank"}'
    answer = verify(jwt.api_jws.encode(payload, _EC, "ES256", {"kid": "k1"}))
    assert isinstance(answer, Refusal)
    assert "stands twice" in answer.detail


def test_the_verifier_believes_a_bundle_from_when_it_is_told_it_to_when_it_is_told_another() -> None:
    domain = TrustDomain(name=DOMAIN, bundle=Path("unused"))
    identifier = Identifier(Identity(audience=AUDIENCE, trust_domains=(domain,)))
    shown = Credentials(f"Bearer {mint()}")
    assert isinstance(identifier.identify(shown, NOW), Refusal)
    identifier.put_bundles({DOMAIN: BUNDLES[DOMAIN]})
    batch = identifier.identify(shown, NOW)
    assert isinstance(batch, Principal)
    assert batch.proof == ("bearer", "jwt-svid")
    identifier.put_bundles({DOMAIN: _bundle(jwk(_EC, "k2"))})
    assert isinstance(identifier.identify(shown, NOW), Refusal)


_GOOD = mint()


@given(st.integers(0, len(_GOOD) - 1), st.sampled_from("AZaz09-_.=,"))
def test_a_token_with_another_letter_is_another_workloads_or_nobodys(position: int, letter: str) -> None:
    changed = _GOOD[:position] + letter + _GOOD[position + 1 :]
    assert isinstance(verify(changed), Principal) == (changed == _GOOD)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["sub", "aud", "exp", "nbf", "iat", "jti"]), _json))
def test_claims_of_any_shape_that_a_domain_signed_name_a_workload_of_its_own_or_nobody(claims: dict[str, Any]) -> None:
    payload = json.dumps({"sub": SVID, "aud": AUDIENCE, "exp": NOW + 60, **claims}).encode()
    answer = verify(jwt.api_jws.encode(payload, _EC, "ES256", {"kid": "k1"}))
    assert isinstance(answer, Refusal) or (
        answer.issuer == DOMAIN and answer.id.startswith(f"workload:spiffe://{DOMAIN}/")
    )


@given(st.binary(), st.binary(), st.binary())
def test_any_three_parts_are_refused(header: bytes, payload: bytes, signature: bytes) -> None:
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, payload, signature))
    assert isinstance(verify(".".join(parts)), Refusal)
