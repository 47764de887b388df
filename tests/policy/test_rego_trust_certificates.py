"""crypto.x509.*, private keys and digests: what is read, what verifies, and that OPA sees the same."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from policy.rego.builtins import BUILTINS, IMPURE
from policy.rego.values import UNDEFINED
from tests.policy.opa_answers import opa_answers

NOW = 1_790_000_000 * 10**9
REFUSED = [False, []]
EC, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()
CA = x509.BasicConstraints(True, None)
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, x509.ObjectIdentifier("1.2.3.4")])
NAMES = x509.SubjectAlternativeName(
    [
        x509.DNSName("core.bank.example"),
        x509.RFC822Name("ops@bank.example"),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        x509.UniformResourceIdentifier("spiffe://bank.example/core/a%20b?x=1#f"),
        x509.UniformResourceIdentifier("urn:bank:core"),
    ]
)
HOSTS = x509.SubjectAlternativeName(
    [x509.DNSName("core.bank.example"), x509.UniformResourceIdentifier("spiffe://bank.example:8443/core")]
)
EVERYTHING: list[tuple[x509.ExtensionType, bool]] = [
    (NAMES, False),
    (x509.KeyUsage(True, False, False, False, True, True, True, True, False), True),
    (CLIENT, False),
    (x509.BasicConstraints(True, 0), True),
    (x509.SubjectKeyIdentifier(b"\1\2\3"), False),
    (x509.AuthorityKeyIdentifier(b"\7", None, None), False),
    (x509.InhibitAnyPolicy(0), True),
    (x509.PolicyConstraints(0, 3), True),
    (x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.840.1"), None)]), False),
    (
        x509.NameConstraints([x509.DNSName("bank.example"), x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None),
        True,
    ),
    (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.9"), b"\5\0"), True),
]


def name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bänk"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )


def issue(
    subject: str,
    issuer: str,
    extensions: list[tuple[x509.ExtensionType, bool]],
    key: Any = EC,
    signer: Any = EC,
    until: int = 2100,
) -> str:
    """A certificate in PEM."""
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).serial_number(7)
    builder = builder.public_key(key.public_key()).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(until, 1, 1, tzinfo=UTC))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(signer, None if signer is ED else SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def chain(leaf: list[tuple[x509.ExtensionType, bool]], middle: x509.BasicConstraints = CA, **more: Any) -> str:
    """Root, one between, and a leaf."""
    certificates = [issue("root", "root", [(CA, True)]), issue("middle", "root", [(middle, True)])]
    return "".join([*certificates, issue("leaf", "middle", leaf, **more)])


def private(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()  # type: ignore[no-any-return]


def call(builtin: str, *arguments: Any) -> Any:
    function = BUILTINS[builtin]
    return function([NOW, None, None], *arguments) if builtin in IMPURE else function(*arguments)


def verify(certificates: str, **options: Any) -> Any:
    return call("crypto.x509.parse_and_verify_certificates_with_options", certificates, options)


def test_a_chain_verifies_from_its_leaf_to_its_root() -> None:
    verified, found = call("crypto.x509.parse_and_verify_certificates", chain([(NAMES, False), (SERVER, False)]))
    assert verified
    assert [one["Subject"]["CommonName"] for one in found] == ["leaf", "middle", "root"]
    assert found[0]["URIStrings"][1] == "urn:bank:core"


@pytest.mark.parametrize(
    "certificates",
    [
        chain([(CLIENT, False)]),
        chain([(NAMES, False)], x509.BasicConstraints(False, None)),
        chain([(NAMES, False)], until=2021),
        chain([(NAMES, False)], signer=ec.generate_private_key(ec.SECP256R1())),
        chain([(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.9"), b"\5\0"), True)]),
        issue("root", "root", [(CA, True)]) + issue("leaf", "other", []),
        issue("root", "root", [(CA, True)]),
        "",
    ],
)
def test_what_does_not_verify(certificates: str) -> None:
    assert call("crypto.x509.parse_and_verify_certificates", certificates) == REFUSED


def test_options() -> None:
    certificates = chain([(NAMES, False), (CLIENT, False)])
    assert verify(certificates) == REFUSED
    assert verify(certificates, KeyUsages=["KeyUsageServerAuth", "KeyUsageClientAuth"])[0]
    assert verify(certificates, KeyUsages=["KeyUsageAny"], DNSName="CORE.bank.example.")[0]
    assert verify(certificates, KeyUsages=["KeyUsageAny"], DNSName="[2001:db8::1]")[0]
    assert verify(certificates, KeyUsages=["KeyUsageAny"], DNSName="bank.example") == REFUSED
    assert verify(certificates, KeyUsages=["KeyUsageAny"], CurrentTime=0) == REFUSED
    several: list[dict[str, Any]] = [
        {"KeyUsages": ["ServerAuth"]},
        {"CurrentTime": "now"},
        {"Roots": []},
        {"DNSName": 5},
    ]
    for wrong in several:
        assert verify(certificates, **wrong) is UNDEFINED


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_leaf_never_verifies(at: int, octet: int) -> None:
    root = issue("root", "root", [(CA, True)])
    signed = x509.load_pem_x509_certificate(issue("leaf", "root", [(NAMES, False)]).encode()).public_bytes(Encoding.DER)
    changed = bytearray(signed)
    changed[at % len(changed)] = octet
    if changed != signed:
        block = base64.encodebytes(changed).decode()
        pem = f"{root}-----BEGIN CERTIFICATE-----\n{block}-----END CERTIFICATE-----\n"
        assert call("crypto.x509.parse_and_verify_certificates", pem) == REFUSED


@given(st.binary() | st.text())
def test_nothing_raises(content: bytes | str) -> None:
    given = content if isinstance(content, str) else base64.b64encode(content).decode()
    for builtin in ("parse_certificates", "parse_certificate_request", "parse_rsa_private_key"):
        call(f"crypto.x509.{builtin}", given)
        assert call(f"crypto.x509.{builtin}", None) is UNDEFINED
    call("crypto.parse_private_keys", f"-----BEGIN PRIVATE KEY-----\n{given}\n-----END PRIVATE KEY-----\n")
    assert call("crypto.x509.parse_keypair", given, private(EC)) is UNDEFINED
    assert verify(given) == REFUSED


@given(st.text(), st.text())
def test_digests(text: str, other: str) -> None:
    assert call("crypto.sha256", text) == hashlib.sha256(text.encode()).hexdigest()
    assert call("crypto.hmac.equal", text, other) is (text == other)
    assert len(call("crypto.hmac.sha512", text, other)) == 128


def test_opa_sees_the_same_in_certificates_and_keys() -> None:
    certificates = [issue("a", "b", EVERYTHING), issue("a", "b", [], RSA, RSA), issue("a", "b", [], ED, ED)]
    encoded = [base64.b64encode(one.encode()).decode() for one in certificates]
    der = base64.b64encode(x509.load_pem_x509_certificate(certificates[1].encode()).public_bytes(Encoding.DER)).decode()
    keys = [private(EC), private(RSA), private(ED), private(RSA, PrivateFormat.TraditionalOpenSSL)]
    request = x509.CertificateSigningRequestBuilder().subject_name(name("asked")).add_extension(NAMES, True)
    csr = request.sign(EC, SHA256()).public_bytes(Encoding.PEM).decode()
    junk = [
        "",
        "x",
        "eHh4",
        "-----BEGIN CERTIFICATE-----",
        f"junk\n{certificates[0]}",
        f"{certificates[0]}junk",
        5,
        None,
    ]
    for builtin, arguments in {
        "crypto.x509.parse_certificates": [*certificates, *encoded, der, "".join(certificates), keys[0], *junk],
        "crypto.x509.parse_certificate_request": [csr, base64.b64encode(csr.encode()).decode(), certificates[0], *junk],
        "crypto.parse_private_keys": [*keys, "".join(keys), base64.b64encode(keys[0].encode()).decode(), csr, *junk],
        "crypto.x509.parse_rsa_private_key": [*keys, csr, *junk],
    }.items():
        assert [call(builtin, one) for one in arguments] == opa_answers(builtin, [[one] for one in arguments]), builtin
    pairs = [[one, key] for one in (*certificates, encoded[0], der) for key in (*keys, "x")]
    found = [call("crypto.x509.parse_keypair", *pair) for pair in pairs]
    assert found == opa_answers("crypto.x509.parse_keypair", pairs)


def test_opa_verifies_the_same_chains() -> None:
    constrained = x509.NameConstraints([x509.DNSName("bank.example")], None)
    chains = [
        chain([(NAMES, False), (SERVER, False)]),
        chain([(NAMES, False), (CLIENT, False)]),
        chain([]),
        chain([(NAMES, False)], x509.BasicConstraints(False, None)),
        chain([(NAMES, False)], until=2021),
        chain([(NAMES, False)], signer=ec.generate_private_key(ec.SECP256R1())),
        issue("root", "root", [(CA, True), (constrained, True)]) + issue("leaf", "root", [(NAMES, False)]),
        issue("root", "root", [(CA, True), (constrained, True)]) + issue("leaf", "root", [(HOSTS, False)]),
        issue("root", "root", [(x509.BasicConstraints(True, 0), True)]) + chain([]),
        issue("root", "root", [(CA, True)]),
        "x",
    ]
    builtin = "crypto.x509.parse_and_verify_certificates"
    assert [call(builtin, one) for one in chains] == opa_answers(builtin, [[one] for one in chains])
    options: list[Any] = [{}, {"DNSName": "core.bank.example"}, {"DNSName": "x"}, {"KeyUsages": ["KeyUsageClientAuth"]}]
    options += [{"CurrentTime": 0}, {"CurrentTime": 1_600_000_000 * 10**9}, {"KeyUsages": ["x"]}, {"x": 1}, 5]
    asked = [[one, option] for one in chains for option in options]
    builtin += "_with_options"
    assert [call(builtin, *one) for one in asked] == opa_answers(builtin, asked)
