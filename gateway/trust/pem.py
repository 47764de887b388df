"""PEM files as an Envoy takes them, looked at before they are pushed: one that is half written never reaches it."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.identity.client_certificate import UNREADABLE
from gateway.identity.spiffe import Bundle, Revoked

_END_OF_LIST = b"-----END X509 CRL-----"


def server_certificate(chain: bytes, key: bytes) -> tuple[bytes, bytes] | str:
    """A chain and its key, if the key is the leaf's; or what is wrong with them."""
    try:
        leaf, private = x509.load_pem_x509_certificates(chain)[0], load_pem_private_key(key, None)
        return (chain, key) if private.public_key() == leaf.public_key() else "the key is not the certificate's"
    except TypeError:
        return "the key is encrypted"
    except (*UNREADABLE, UnsupportedAlgorithm) as error:
        return str(error)


def authorities(content: bytes) -> Bundle | str:
    """Certificates of authorities; or what is wrong with them."""
    try:
        return Bundle(tuple(x509.load_pem_x509_certificates(content)))
    except UNREADABLE as error:
        return str(error)


def revocation_lists(content: bytes) -> Revoked | str:
    """Revocation lists, one at least; or what is wrong with them."""
    *texts, rest = content.split(_END_OF_LIST)
    if not texts or rest.strip():
        return "not a list of PEM revocation lists"
    try:
        lists = [x509.load_pem_x509_crl(text + _END_OF_LIST) for text in texts]
        return Revoked(content, frozenset(revoked for each in lists for revoked in _revoked(each)))
    except UNREADABLE as error:
        return str(error)


def _revoked(lists: x509.CertificateRevocationList) -> Iterator[tuple[bytes, int]]:
    issuer = lists.issuer.public_bytes()
    return ((issuer, entry.serial_number) for entry in lists)
