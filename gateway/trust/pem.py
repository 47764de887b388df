"""PEM files as an Envoy takes them, looked at before they are pushed: one that is half written never reaches it."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.identity.spiffe import Bundle

_END_OF_LIST = b"-----END X509 CRL-----"


def server_certificate(chain: bytes, key: bytes) -> tuple[bytes, bytes] | str:
    """A chain and its key, if the key is the leaf's; or what is wrong with them."""
    try:
        leaf, private = x509.load_pem_x509_certificates(chain)[0], load_pem_private_key(key, None)
        return (chain, key) if private.public_key() == leaf.public_key() else "the key is not the certificate's"
    except TypeError:
        return "the key is encrypted"
    except (ValueError, UnsupportedAlgorithm) as error:
        return str(error)


def authorities(content: bytes) -> Bundle | str:
    """Certificates of authorities; or what is wrong with them."""
    try:
        return Bundle(tuple(x509.load_pem_x509_certificates(content)))
    except ValueError as error:
        return str(error)


def revocation_lists(content: bytes) -> bytes | str:
    """Revocation lists, one at least; or what is wrong with them."""
    *lists, rest = content.split(_END_OF_LIST)
    try:
        for text in lists:
            x509.load_pem_x509_crl(text + _END_OF_LIST)
    except ValueError as error:
        return str(error)
    return content if lists and not rest.strip() else "not a list of PEM revocation lists"
