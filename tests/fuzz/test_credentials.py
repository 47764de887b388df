"""Invariant: whatever credentials look like, the answer is a refusal, an unknown key, or a proven workload."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Identity, Issuer, TrustDomain
from gateway.identity import Credentials, Identifier, Refusal, UnknownKey
from policy import Principal

ISSUER = Issuer(issuer="i", jwks_url="http://unused", audience="bank", vouches_for=("person", "workload", "agent"))
IDENTIFIER = Identifier(Identity(issuers=(ISSUER,), trust_domains=(TrustDomain(name="bank.example"),)))

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
)
_header = st.dictionaries(st.sampled_from(["alg", "typ", "kid", "jku", "crit"]), _json | st.sampled_from(["ES256"]))
_claims = st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "act"]), _json | st.just("i"))


def encode(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


@given(st.text())
def test_any_authorization(header: str) -> None:
    assert isinstance(IDENTIFIER.identify(Credentials(header), 0.0), Refusal)


@given(st.binary(), st.binary(), st.binary())
def test_any_three_parts(header: bytes, payload: bytes, signature: bytes) -> None:
    token = ".".join(map(encode, (header, payload, signature)))
    assert isinstance(IDENTIFIER.identify(Credentials(f"Bearer {token}"), 0.0), Refusal | UnknownKey)


@given(_header, _claims, st.binary())
def test_any_json(header: dict[str, object], payload: dict[str, object], signature: bytes) -> None:
    token = ".".join(map(encode, (json.dumps(header).encode(), json.dumps(payload).encode(), signature)))
    assert isinstance(IDENTIFIER.identify(Credentials(f"Bearer {token}"), 0.0), Refusal | UnknownKey)


@given(st.text(alphabet='=;,"\\ abURIHash:/.spiffe') | st.text())
def test_any_client_certificate_header(header: str) -> None:
    answer = IDENTIFIER.identify(Credentials("", header), 0.0)
    assert isinstance(answer, Refusal) or (isinstance(answer, Principal) and answer.kind == "workload")
