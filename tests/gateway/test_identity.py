"""Identification: who comes out of which credentials, and who never does."""

from __future__ import annotations

import datetime
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.config import Identity, Issuer, TrustDomain
from gateway.identity import Credentials, Identifier, KeySet, Refusal, UnknownKey, challenge
from policy import Principal

NOW = 1_800_000_000.0
BANK = Identity(realm="bank")
ISSUER = "https://issuer.bank.example"
_EC = ec.generate_private_key(ec.SECP256R1())
_OTHER = ec.generate_private_key(ec.SECP256R1())
_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SVID = "spiffe://bank.example/batch"


def certificate(*uris: str, ca: bool = False, signs: bool = True, signs_others: bool = False, days: int = 1) -> Any:
    """A self-signed certificate with these URI names; the chain is the edge's to check."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "batch")])
    now = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    usage = [signs, False, False, False, False, signs_others, False, False, False]
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(x509.KeyUsage(*usage), True)
    )
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        built = built.add_extension(x509.SubjectAlternativeName(names), False)
    return built.sign(key, hashes.SHA256())


def forwarded(shown: x509.Certificate) -> str:
    """The header as Envoy writes it."""
    pem = shown.public_bytes(serialization.Encoding.PEM).decode()
    return f'Hash={shown.fingerprint(hashes.SHA256()).hex()};Cert="{quote(pem, safe="")}";URI={SVID}'


SHOWN = certificate(SVID)
THUMBPRINT = urlsafe_b64encode(SHOWN.fingerprint(hashes.SHA256())).rstrip(b"=").decode()

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
    issuer = Issuer(
        issuer=ISSUER, jwks_url="http://unused", audience="bank", vouches_for=("person", "workload", "agent")
    )
    made = Identifier(Identity(issuers=(issuer,), trust_domains=(TrustDomain(name="bank.example"),), max_chain=2))
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
        ({"cnf": {"x5t#S256": None}}, "bound to no certificate"),
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
    assert challenge.of(answer, BANK) == 'Bearer realm="bank", error="invalid_token"'


def test_a_foreign_issuer_proves_nobody(identifier: Identifier) -> None:
    assert isinstance(show(identifier, mint(iss="https://evil.example")), Refusal)


def test_an_unknown_key_is_asked_for(identifier: Identifier) -> None:
    assert show(identifier, mint(headers={"kid": "k2"})) == UnknownKey(ISSUER)


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer a,Bearer b", "bearer  x"])
def test_a_header_that_is_not_one_bearer_token_is_the_clients_fault(identifier: Identifier, header: str) -> None:
    answer = identifier.identify(Credentials(header), NOW)
    assert isinstance(answer, Refusal)
    assert answer.status == 400


@pytest.mark.parametrize("header", ["", "Basic YTpi"])
def test_no_bearer_credentials_are_challenged_without_an_error(identifier: Identifier, header: str) -> None:
    answer = identifier.identify(Credentials(header), NOW)
    assert isinstance(answer, Refusal)
    assert (answer.status, challenge.of(answer, BANK)) == (401, 'Bearer realm="bank"')


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
    good = show(identifier, token, forwarded(SHOWN))
    assert isinstance(good, Principal)
    assert good.proof == ("bearer", "mtls")
    assert isinstance(show(identifier, token, forwarded(certificate(SVID))), Refusal)


def test_a_certificate_that_is_no_svid_still_binds_a_token(identifier: Identifier) -> None:
    laptop = certificate()
    bound = urlsafe_b64encode(laptop.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    assert isinstance(show(identifier, mint(cnf={"x5t#S256": bound}), forwarded(laptop)), Principal)
    assert isinstance(identifier.identify(Credentials("", forwarded(laptop)), NOW), Refusal)


def test_a_certificate_names_a_workload_for_as_long_as_it_is_valid(identifier: Identifier) -> None:
    batch = identifier.identify(Credentials("", forwarded(SHOWN)), NOW)
    assert isinstance(batch, Principal)
    assert (batch.id, batch.kind, batch.proof) == (f"workload:{SVID}", "workload", ("mtls", "x509-svid"))
    assert batch.expires == NOW + 86_400
    assert isinstance(identifier.identify(Credentials("", forwarded(SHOWN)), NOW + 86_400), Refusal)


@pytest.mark.parametrize(
    "shown",
    [
        certificate(),
        certificate(SVID, "spiffe://bank.example/b"),
        certificate("spiffe://evil.example/batch"),
        certificate("spiffe://bank.example/../batch"),
        certificate("spiffe://bank.example"),
        certificate("https://bank.example/batch"),
        certificate(SVID, ca=True),
        certificate(SVID, signs=False),
        certificate(SVID, signs_others=True),
        certificate(SVID, days=-1),
    ],
    ids=["none", "two", "foreign", "dots", "no path", "no spiffe", "ca", "cannot sign", "signs others", "expired"],
)
def test_a_certificate_that_is_no_svid_of_ours_proves_nobody(identifier: Identifier, shown: x509.Certificate) -> None:
    answer = identifier.identify(Credentials("", forwarded(shown)), NOW)
    assert isinstance(answer, Refusal)
    assert answer.status == 401


@pytest.mark.parametrize(
    "header",
    [f"URI={SVID}", f"{forwarded(SHOWN)},{forwarded(SHOWN)}", 'Cert="junk"', 'Cert="', "=;;;", "x" * 40_000],
)
def test_a_header_that_is_not_one_certificate_proves_nobody(identifier: Identifier, header: str) -> None:
    assert isinstance(identifier.identify(Credentials("", header), NOW), Refusal)


def test_private_and_symmetric_keys_in_a_jwks_are_skipped() -> None:
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(_EC)) | {"kid": "private"}
    odd = [{"kid": "odd", "kty": []}, {"kid": "odd", "kty": "EC", "alg": []}, 7, {"kty": "EC"}]
    parsed = KeySet.parse({"keys": [private, {"kty": "oct", "k": "AAAA", "kid": "secret"}, *odd]})
    assert "odd" not in parsed
    assert "private" not in parsed
    assert "secret" not in parsed
    with pytest.raises(ValueError, match="JWKS"):
        KeySet.parse([])


# RFC 8705, appendix A: a client's certificate, and its thumbprint as a token bound to it has it.
RFC8705_CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
"""
RFC8705_THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


def test_a_token_bound_as_in_rfc_8705_counts_with_that_certificate_alone(identifier: Identifier) -> None:
    certificate = x509.load_pem_x509_certificate(RFC8705_CERTIFICATE.encode())
    shown, in_its_time = forwarded(certificate), certificate.not_valid_before_utc.timestamp() + 3600
    bound = mint(cnf={"x5t#S256": RFC8705_THUMBPRINT}, iat=in_its_time, exp=in_its_time + 600)
    answer = show(identifier, bound, shown, now=in_its_time)
    assert isinstance(answer, Principal)
    assert answer.proof == ("bearer", "mtls")
    assert isinstance(show(identifier, bound, forwarded(SHOWN), now=in_its_time), Refusal)
    assert isinstance(show(identifier, bound, now=in_its_time), Refusal)
