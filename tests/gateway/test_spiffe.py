"""SPIFFE ids, certificates and bundles: what is believed, and each thing that is not, for its own reason."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.identity import Refusal
from gateway.identity.client_certificate import LONGEST, ClientCertificate, parse
from gateway.identity.spiffe import (
    Bundle,
    Revoked,
    SpiffeId,
    is_trust_domain,
    read_bundle,
    spiffe_id,
    workload_id,
    x509_svid,
)
from policy import Principal
from tests.gateway.workloads import DOMAIN, SVID, Ca, Leaf, document, jwk, self_signed, usage, x509_jwk

CA = Ca()
NOW = time.time()
_DOMAINS = st.text(alphabet="abz09.-_", min_size=1, max_size=255)
_SEGMENTS = st.text(alphabet="aZ09.-_", min_size=1, max_size=20).filter(lambda text: text not in (".", ".."))


@given(_DOMAINS, st.lists(_SEGMENTS, max_size=5))
def test_an_id_that_is_well_written_is_read_and_written_back(domain: str, segments: list[str]) -> None:
    text = f"spiffe://{domain}" + "".join(f"/{segment}" for segment in segments)
    read = spiffe_id(text)
    assert isinstance(read, SpiffeId)
    assert (read.trust_domain, str(read)) == (domain, text)
    assert isinstance(workload_id(text), SpiffeId) == bool(segments)


@given(st.text(alphabet="spifeSPIFFE:/.-_a%0?#@\\ é\0\n") | st.text() | st.text().map("spiffe://bank.example/".__add__))
@example("spiffe://bank.example/a\n")
@example("spiffe://bank.example\n")
@example("spiffe://" + "\ud800")
def test_any_text_is_an_id_in_one_spelling_or_none(text: str) -> None:
    read = spiffe_id(text)
    if isinstance(read, SpiffeId):
        assert str(read) == text
        assert text.isascii()
        assert len(text) <= 2048
        assert not set(text) & set("%?#@\\ \n\0")
        assert not {"", ".", ".."} & set(read.path.split("/")[1:])
        assert is_trust_domain(read.trust_domain)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no spiffe:// id"),
        ("https://bank.example/batch", "no spiffe:// id"),
        ("SPIFFE://bank.example/batch", "no spiffe:// id"),
        ("spiffe:/bank.example/batch", "no spiffe:// id"),
        ("spiffe://", "no trust domain"),
        ("spiffe:///batch", "no trust domain"),
        ("spiffe://Bank.example/batch", "a trust domain with other characters"),
        ("spiffe://bank.example:443/batch", "a trust domain with other characters"),
        ("spiffe://user@bank.example/batch", "a trust domain with other characters"),
        ("spiffe://bank.example?x", "a trust domain with other characters"),
        ("spiffe://bänk.example/batch", "a trust domain with other characters"),
        (f"spiffe://{'a' * 256}/batch", "a trust domain of more than 255 bytes"),
        ("spiffe://bank.example/", "an empty path segment"),
        ("spiffe://bank.example//batch", "an empty path segment"),
        ("spiffe://bank.example/batch/", "an empty path segment"),
        ("spiffe://bank.example/./batch", "a path segment of dots"),
        ("spiffe://bank.example/a/..", "a path segment of dots"),
        ("spiffe://bank.example/batch?x=1", "a path segment with other characters"),
        ("spiffe://bank.example/batch#x", "a path segment with other characters"),
        ("spiffe://bank.example/b%61tch", "a path segment with other characters"),
        (f"spiffe://bank.example/{'a' * 2027}", "a SPIFFE id of more than 2048 bytes"),
    ],
)
def test_what_is_no_id_is_told_why(text: str, why: str) -> None:
    read = spiffe_id(text)
    assert isinstance(read, str)
    assert read.startswith(why)


def test_the_longest_id_is_one() -> None:
    assert isinstance(spiffe_id(f"spiffe://bank.example/{'a' * 2026}"), SpiffeId)


@pytest.mark.parametrize("path", ["/...", "/.hidden", "/a..b", "/A-Z_0.9"])
def test_dots_within_a_segment_are_letters_like_others(path: str) -> None:
    assert isinstance(spiffe_id(f"spiffe://bank.example{path}"), SpiffeId)


def shown(leaf: Leaf, bundle: Bundle | None = None) -> Principal | Refusal:
    """Who a certificate names, as Envoy hands it over."""
    certificate = parse(f'Hash=00;Chain="{quote(leaf.chain.decode(), safe="")}";URI={SVID}')
    assert isinstance(certificate, ClientCertificate)
    return x509_svid(certificate, {DOMAIN: bundle}, NOW)


def test_a_certificate_names_its_workload() -> None:
    leaf = CA.leaf(SVID)
    batch = shown(leaf)
    assert isinstance(batch, Principal)
    assert (batch.id, batch.kind, batch.issuer) == (f"workload:{SVID}", "workload", DOMAIN)
    assert batch.proof == ("mtls", "x509-svid")
    assert batch.issued == leaf.certificate.not_valid_before_utc.timestamp()
    assert batch.expires == leaf.certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("name", [x509.DNSName("batch.bank.example"), x509.RFC822Name("batch@bank.example")])
def test_names_of_other_kinds_beside_the_id_are_allowed(name: x509.GeneralName) -> None:
    assert isinstance(shown(CA.leaf(SVID, other=(name,))), Principal)


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (CA.leaf(), "the certificate has 0 URI names"),
        (CA.leaf(other=(x509.DNSName("bank.example"),)), "the certificate has 0 URI names"),
        (CA.leaf(SVID, SVID), "the certificate has 2 URI names"),
        (CA.leaf(SVID, "https://bank.example/"), "the certificate has 2 URI names"),
        (CA.leaf("https://bank.example/batch"), "the certificate's name: no spiffe:// id"),
        (CA.leaf("spiffe://bank.example"), "the certificate's name: the id of a trust domain"),
        (CA.leaf("spiffe://bank.example/../batch"), "the certificate's name: a path segment of dots"),
        (CA.leaf("spiffe://other.example/batch"), "trust domain other.example is not trusted"),
        (CA.leaf("spiffe://sub.bank.example/batch"), "trust domain sub.bank.example is not trusted"),
        (CA.leaf(SVID, ca=True), "the certificate is an authority's"),
        (CA.leaf(SVID, key_usage=usage(signs=False)), "the certificate's key is not for signatures"),
        (CA.leaf(SVID, key_usage=usage(certificates=True)), "the certificate's key may sign certificates"),
        (CA.leaf(SVID, key_usage=usage(lists=True)), "the certificate's key may sign revocation lists"),
        (CA.leaf(SVID, begins=6), "the certificate is not valid yet"),
        (CA.leaf(SVID, hours=-0.5), "the certificate has expired"),
    ],
)
def test_a_certificate_that_names_no_workload_is_refused_for_its_own_reason(leaf: Leaf, why: str) -> None:
    answer = shown(leaf)
    assert isinstance(answer, Refusal)
    assert (answer.error, answer.status) == ("invalid_token", 401)
    assert answer.detail.startswith(why)


_PEM = quote(CA.leaf(SVID).chain.decode(), safe="")
_PAIR = quote(Ca("between", CA).leaf(SVID).chain.decode(), safe="")
_MARKS = ["Cert=", "cert=", "Chain=", '"', ";", ",", "URI=", SVID, "\\", "%", " ", "\0", "é"]
_PARTS = st.sampled_from([*_MARKS, _PEM, _PAIR, f'Cert="{_PEM}"', f'Chain="{_PAIR}"'])


OTHER = Ca("other.example")
BETWEEN = Ca("between", CA)


def test_a_certificate_counts_no_longer_than_those_that_it_stands_on() -> None:
    between = Ca("between", CA, hours=0.5)
    batch = shown(between.leaf(SVID), Bundle((CA.certificate,)))
    assert isinstance(batch, Principal)
    assert batch.expires == between.certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("leaf", [CA.leaf(SVID), BETWEEN.leaf(SVID), Ca("deep", BETWEEN).leaf(SVID)])
def test_its_own_domain_vouches_for_a_certificate(leaf: Leaf) -> None:
    assert isinstance(shown(leaf, Bundle((OTHER.certificate, CA.certificate))), Principal)


@pytest.mark.parametrize(
    ("leaf", "authorities"),
    [
        (CA.leaf(SVID), ()),
        (CA.leaf(SVID), (OTHER.certificate,)),
        (CA.leaf(SVID), (Ca().certificate,)),
        (self_signed(SVID), (CA.certificate,)),
        (Ca("between", OTHER).leaf(SVID), (CA.certificate,)),
        (Ca("expired", CA, hours=-0.5).leaf(SVID), (CA.certificate,)),
        (Ca("no authority", CA, ca=False).leaf(SVID), (CA.certificate,)),
        (Ca("signs nothing", CA, signs=False).leaf(SVID), (CA.certificate,)),
        (Leaf([BETWEEN.leaf(SVID).certificate], CA.key), (CA.certificate,)),
        (CA.leaf(SVID), (Ca(hours=-0.5).certificate,)),
    ],
    ids=["nobody", "others", "same name", "itself", "others below", "expired", "leaf", "usage", "gap", "old authority"],
)
def test_nobody_else_does(leaf: Leaf, authorities: tuple[x509.Certificate, ...]) -> None:
    answer = shown(leaf, Bundle(authorities))
    assert isinstance(answer, Refusal)
    assert answer.detail.startswith("its trust domain does not vouch for the certificate: ")


_CHAIN = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(BETWEEN.leaf(SVID).chain)]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of cryptography, of names that are longer than they may be
@settings(max_examples=500)
@given(st.integers(0, 1), st.integers(0, 2000), st.integers(0, 255))
@example(1, 12, 6)
@example(0, 361, 1)
def test_a_chain_in_which_a_signed_byte_is_another_is_refused(which: int, position: int, byte: int) -> None:
    """What is not signed, how many bits the signature leaves over, says nothing of anybody."""
    chain = [bytearray(each) for each in _CHAIN]
    chain[which][position % len(chain[which])] = byte
    text = "".join(_pem(bytes(each)) for each in chain)
    read = parse(f'Chain="{quote(text, safe="")}"')
    answer = read if isinstance(read, Refusal) else x509_svid(read, {DOMAIN: Bundle((CA.certificate,))}, NOW)
    if list(map(bytes, chain)) == _CHAIN:
        assert isinstance(answer, Principal)
    elif isinstance(answer, Principal):
        assert isinstance(read, ClientCertificate)
        signed = [each.tbs_certificate_bytes for each in read.chain]
        assert signed == [x509.load_der_x509_certificate(each).tbs_certificate_bytes for each in _CHAIN]


def _pem(der: bytes) -> str:
    text = b64encode(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("revoked", [0, 1, 2])
def test_what_was_revoked_vouches_for_nobody(revoked: int) -> None:
    leaf = Ca("deep", BETWEEN).leaf(SVID)
    certificate = x509.load_pem_x509_certificates(leaf.chain)[revoked]
    name = (certificate.issuer.public_bytes(), certificate.serial_number)
    answer = shown(leaf, Bundle((CA.certificate,), revoked=Revoked(certificates=frozenset({name}))))
    assert isinstance(answer, Refusal)
    assert answer.detail == "the certificate, or one that it stands on, is revoked"
    others = frozenset({(name[0], name[1] + 1), (BETWEEN.name.public_bytes() + b"x", name[1])})
    assert isinstance(shown(leaf, Bundle((CA.certificate,), revoked=Revoked(certificates=others))), Principal)


@given(st.lists(_PARTS | st.text(max_size=5), max_size=8).map("".join))
@example("Cert=" + _PEM + "," + "Cert=" + _PEM)
@example(f'Cert="{_PEM}";Cert="{_PEM}"')
@example("Cert=Cert=" + _PEM)
@example("Cert=" + _PAIR)
@example(f"Cert={_PEM};Chain={_PEM}")
@example("Chain=" + _PEM * 9)
@example("x" * (LONGEST + 1))
def test_any_header_is_at_most_the_one_certificate_that_stands_in_it(header: str) -> None:
    certificate = parse(header)
    if isinstance(certificate, Refusal):
        assert certificate.error in ("invalid_request", "invalid_token")
    else:
        assert certificate.uris == (SVID,)
        assert header.lower().count("cert=") + header.lower().count("chain=") == 1


def test_a_pem_file_is_a_bundle_of_authorities_alone() -> None:
    other = Ca()
    bundle = read_bundle(CA.pem + other.pem + CA.pem)
    assert not isinstance(bundle, str)
    assert set(bundle.authorities) == {CA.certificate, other.certificate}
    assert bundle == read_bundle(other.pem + CA.pem)
    assert not bundle.keys


def test_a_document_is_a_bundle_of_both_and_says_nothing_of_other_uses() -> None:
    entries: tuple[Any, ...] = (
        x509_jwk(CA.certificate),
        jwk(CA.key, "k1"),
        jwk(CA.key, "k2", "sig"),
        jwk(CA.key, "k3", None),
        {},
    )
    odd = {"use": "jwt-svid", "kty": "oct", "k": "AAAA", "kid": "shared"}
    bundle = read_bundle(document(*entries, odd, spiffe_sequence=3, spiffe_refresh_hint=300))
    assert not isinstance(bundle, str)
    assert (bundle.authorities, bundle.pem) == ((CA.certificate,), CA.pem)
    assert set(bundle.keys) == {"k1"}


def test_a_domain_may_have_no_authority_any_more() -> None:
    bundle = read_bundle(document())
    assert not isinstance(bundle, str)
    assert (bundle.authorities, bundle.keys) == ((), {})


def _version(pem: bytes) -> bytes:
    """The certificate with a version that there is none of."""
    der = bytearray(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    der[der.index(b"\xa0\x03\x02\x01\x02") + 4] = 6
    return _pem(bytes(der)).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Unable to load PEM"),
        (b"nothing", "Unable to load PEM"),
        (CA.pem[:-50], "Unable to load PEM"),
        (CA.leaf(SVID).chain, "'CN=leaf' is no authority"),
        (CA.pem + CA.leaf(SVID).chain, "'CN=leaf' is no authority"),
        (_version(CA.pem), "not a valid X509 version"),
        (b" {", "Expecting property name"),
        (b"{}", "no list of keys"),
        (b'{"keys":[],"keys":[]}', "a name stands twice"),
        (b'{"keys":{}}', "no list of keys"),
        (b'{"keys":[7]}', "no list of keys"),
        (document(spiffe_sequence=-1), "spiffe_sequence is no whole number"),
        (document(spiffe_sequence=True), "spiffe_sequence is no whole number"),
        (document(spiffe_refresh_hint="1"), "spiffe_refresh_hint is no whole number"),
        (document(x509_jwk()), "without exactly one certificate in x5c"),
        (document(x509_jwk(CA.certificate, CA.certificate)), "without exactly one certificate in x5c"),
        (document({"use": "x509-svid", "x5c": ["?"]}), "x5c"),
        (document({"use": "x509-svid", "x5c": ["AAAA"]}), "error parsing asn1"),
        (document(x509_jwk(CA.leaf(SVID).certificate)), "'CN=leaf' is no authority"),
        (document(jwk(CA.key, None)), "without a kid of its own"),
        (document(jwk(CA.key, "")), "without a kid of its own"),
        (document(jwk(CA.key, "k"), jwk(CA.key, "k")), "without a kid of its own"),
        (document(*(jwk(CA.key, f"k{number}") for number in range(257))), "more than 256 authorities"),
        (b"{" + b" " * (1 << 20), "more than 1048576 bytes"),
    ],
)
def test_what_is_no_bundle_is_told_why(content: bytes, why: str) -> None:
    told = read_bundle(content)
    assert isinstance(told, str)
    assert why.lower() in told.lower()


@given(st.binary() | st.binary().map(b"{".__add__))
def test_any_bytes_are_a_bundle_or_told_why(content: bytes) -> None:
    read_bundle(content)
