"""Identification: who comes out of which credentials, and who never does."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.config import Identity, Issuer
from gateway.identity import Credentials, Identifier, KeySet, Refusal, UnknownKey
from policy import Principal

NOW = 1_800_000_000.0
ISSUER = "https://issuer.bank.example"
_EC = ec.generate_private_key(ec.SECP256R1())
_OTHER = ec.generate_private_key(ec.SECP256R1())
_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHA256 = hashlib.sha256(b"certificate").hexdigest()
THUMBPRINT = urlsafe_b64encode(bytes.fromhex(SHA256)).rstrip(b"=").decode()

Mint = Callable[..., str]


def keys(*pairs: tuple[str, Any]) -> KeySet:
    entries = []
    for kid, private in pairs:
        algorithm = jwt.algorithms.ECAlgorithm if isinstance(private, ec.EllipticCurvePrivateKey) else None
        kind: Any = algorithm or jwt.algorithms.RSAAlgorithm
        entries.append(json.loads(kind.to_jwk(private.public_key())) | {"kid": kid, "use": "sig"})
    return KeySet.parse({"keys": entries})


def claims(**changes: Any) -> dict[str, Any]:
    base = {
        "iss": ISSUER,
        "sub": "person:alice",
        "aud": "bank",
        "exp": NOW + 300,
        "iat": NOW - 1,
        "jti": "t1",
        "client_id": "web",
        "scope": "accounts:read payments:write",
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


def mint(key: Any = _EC, alg: str = "ES256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, alg, {"typ": "at+jwt", "kid": "k1"} | (headers or {}))


@pytest.fixture
def identifier() -> Identifier:
    issuer = Issuer(issuer=ISSUER, jwks_url="http://unused", audience="bank")
    made = Identifier(Identity(issuers=(issuer,), trust_domains=("bank.example",), max_chain=2))
    made.put_keys(ISSUER, keys(("k1", _EC), ("r1", _RSA)))
    return made


def show(identifier: Identifier, token: str, certificate: str = "", now: float = NOW) -> Any:
    return identifier.identify(Credentials(f"Bearer {token}", certificate), now)


def test_a_token_names_a_person(identifier: Identifier) -> None:
    alice = show(identifier, mint(acr="urn:bank:strong", auth_time=NOW - 60, limit=100, roles=["teller"]))
    assert isinstance(alice, Principal)
    assert (alice.id, alice.kind, alice.issuer, alice.actor) == ("person:alice", "person", ISSUER, "person:alice")
    assert alice.scopes == ("accounts:read", "payments:write")
    assert alice.roles == ("teller",)
    assert alice.attributes == {"limit": 100}
    assert alice.assurance == "urn:bank:strong"


def test_a_bare_subject_is_a_person(identifier: Identifier) -> None:
    assert show(identifier, mint(sub="f81d4fae")).id == "person:f81d4fae"


def test_the_whole_chain_is_known(identifier: Identifier) -> None:
    act = {"sub": "agent:invoice-bot", "act": {"sub": "agent:planner"}}
    principal = show(identifier, mint(act=act))
    assert list(principal.chain()) == ["person:alice", "agent:invoice-bot", "agent:planner"]
    assert principal.actor == "agent:invoice-bot"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exp": NOW - 11}, "expired"),
        ({"exp": NOW + 10**7}, "far future"),
        ({"exp": None}, "no expiry"),
        ({"exp": float("inf")}, "no finite expiry"),
        ({"iat": NOW + 60}, "issued in the future"),
        ({"nbf": NOW + 60}, "not yet"),
        ({"aud": "other"}, "audience"),
        ({"aud": ["other"]}, "audiences"),
        ({"jti": None}, "no jti"),
        ({"client_id": None}, "no client"),
        ({"sub": "alice\r\nx-portcullis-subject: person:root"}, "header injection"),
        ({"sub": ""}, "empty subject"),
        ({"sub": 7}, "subject not text"),
        ({"act": {}}, "actor without a name"),
        ({"act": {"sub": "a", "act": {"sub": "b", "act": {"sub": "c"}}}}, "chain too long"),
        ({"act": {"sub": "a", "act": "b"}}, "chain of another shape"),
        ({"cnf": {"jkt": "x"}}, "bound to a proof that nobody checked"),
        ({"cnf": {"x5t#S256": THUMBPRINT}}, "bound to a certificate that was not shown"),
        ({"headers": {"typ": "JWT"}}, "an ID token's type"),
        ({"headers": {"jku": "https://evil.example"}}, "brings its own keys"),
        ({"headers": {"jwk": {"kty": "EC"}}}, "brings its own key"),
        ({"headers": {"crit": ["exp"]}}, "critical extension"),
        ({"key": _OTHER}, "signed by somebody else"),
        ({"key": _RSA, "alg": "RS256", "headers": {"kid": "r1"}}, "algorithm that is not pinned"),
        ({"key": "s" * 32, "alg": "HS256"}, "a shared secret"),
        ({"key": "", "alg": "none"}, "unsigned"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_token_proves_nobody(identifier: Identifier, changes: dict[str, Any], why: str) -> None:
    answer = show(identifier, mint(**changes))
    assert isinstance(answer, Refusal), why
    assert answer.status == 401
    assert answer.challenge("bank") == 'Bearer realm="bank", error="invalid_token"'


def test_a_foreign_issuer_proves_nobody(identifier: Identifier) -> None:
    assert isinstance(show(identifier, mint(iss="https://evil.example")), Refusal)


def test_an_unknown_key_is_asked_for(identifier: Identifier) -> None:
    assert show(identifier, mint(headers={"kid": "k2"})) == UnknownKey(ISSUER)


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer a,Bearer b", "Basic YTpi", "bearer  x"])
def test_a_header_that_is_not_one_bearer_token_is_the_clients_fault(identifier: Identifier, header: str) -> None:
    answer = identifier.identify(Credentials(header), NOW)
    assert isinstance(answer, Refusal)
    assert answer.status == 400


def test_no_credentials_are_challenged_without_an_error(identifier: Identifier) -> None:
    answer = identifier.identify(Credentials(), NOW)
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.challenge("bank")) == (401, 'Bearer realm="bank"')


def test_a_remembered_token_ends_with_its_time(identifier: Identifier) -> None:
    token = mint(exp=NOW + 5)
    assert isinstance(show(identifier, token), Principal)
    assert isinstance(show(identifier, token, now=NOW + 14), Principal)
    assert isinstance(show(identifier, token, now=NOW + 16), Refusal)


def test_a_removed_key_is_forgotten_with_what_it_signed(identifier: Identifier) -> None:
    token = mint()
    assert isinstance(show(identifier, token), Principal)
    identifier.put_keys(ISSUER, keys(("k2", _OTHER)))
    assert show(identifier, token) == UnknownKey(ISSUER)


def test_a_bound_token_needs_its_certificate(identifier: Identifier) -> None:
    token = mint(cnf={"x5t#S256": THUMBPRINT})
    good = show(identifier, token, f"Hash={SHA256};URI=spiffe://bank.example/web")
    assert isinstance(good, Principal)
    assert good.proof == ("bearer", "mtls")
    other = hashlib.sha256(b"other").hexdigest()
    assert isinstance(show(identifier, token, f"Hash={other};URI=spiffe://bank.example/web"), Refusal)


def test_a_certificate_names_a_workload(identifier: Identifier) -> None:
    batch = identifier.identify(Credentials("", f"Hash={SHA256};URI=spiffe://bank.example/batch"), NOW)
    assert isinstance(batch, Principal)
    assert (batch.id, batch.kind, batch.proof) == (
        "workload:spiffe://bank.example/batch",
        "workload",
        ("mtls", "x509-svid"),
    )


@pytest.mark.parametrize(
    "header",
    [
        f"Hash={SHA256}",
        "URI=spiffe://bank.example/a;URI=spiffe://bank.example/b",
        "URI=spiffe://bank.example/a,URI=spiffe://bank.example/b",
        "URI=spiffe://evil.example/batch",
        "URI=spiffe://bank.example/../batch",
        "URI=spiffe://bank.example",
        "URI=https://bank.example/batch",
        'URI="spiffe://bank.example/a',
        "=;;;",
    ],
)
def test_a_certificate_without_exactly_one_trusted_id_proves_nobody(identifier: Identifier, header: str) -> None:
    assert isinstance(identifier.identify(Credentials("", header), NOW), Refusal)


def test_private_and_symmetric_keys_in_a_jwks_are_skipped() -> None:
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(_EC)) | {"kid": "private"}
    parsed = KeySet.parse({"keys": [private, {"kty": "oct", "k": "AAAA", "kid": "secret"}, 7, {"kty": "EC"}]})
    assert "private" not in parsed
    assert "secret" not in parsed
    with pytest.raises(ValueError, match="JWKS"):
        KeySet.parse([])
