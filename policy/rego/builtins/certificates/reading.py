"""Certificates as policies have them: PEM or DER, the latter in base64, which may hold the former too."""

from __future__ import annotations

import warnings
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning

from policy.rego.builtins import pem
from policy.rego.builtins.der import elements
from policy.rego.builtins.octets import from_base64
from policy.rego.builtins.operands import octets, text_of
from policy.rego.builtins.private_keys import load

UNREADABLE = (  # what reading a certificate or a part of it may raise
    *(ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension),
    *(x509.UnsupportedGeneralNameType, CryptographyDeprecationWarning),  # the latter where warnings are errors
)
BEGIN = "-----BEGIN"
_REQUEST = "CERTIFICATE REQUEST"
warnings.filterwarnings("ignore", "Parsed a serial number", CryptographyDeprecationWarning)  # 0: Go takes it


def certificates(given: str) -> list[x509.Certificate]:
    """Certificates of a text, in order. Raises one of UNREADABLE."""
    if given.startswith(BEGIN):
        return of_pem(given)
    content = from_base64(given)
    return of_pem(text_of(content)) if content.startswith(BEGIN.encode()) else of_der(content)


def of_pem(given: str) -> list[x509.Certificate]:
    """Certificates of all blocks, which must hold certificates alone. Raises one of UNREADABLE."""
    found = list(pem.blocks(given))
    if any(block.label != "CERTIFICATE" for block in found):
        raise ValueError("a block that is no certificate")
    return of_der(b"".join(block.content for block in found))


def of_der(content: bytes) -> list[x509.Certificate]:
    """Certificates one after the other. Raises one of UNREADABLE."""
    return [x509.load_der_x509_certificate(element.whole) for element in elements(content)]


def request(given: str) -> x509.CertificateSigningRequest:
    """A request for a certificate. Raises one of UNREADABLE."""
    content = octets(given) if given.startswith(f"{BEGIN} {_REQUEST}-----") else from_base64(given)
    block = pem.first_block(text_of(content))
    if block and block.label != _REQUEST:
        raise ValueError("a block that is no request for a certificate")
    return x509.load_der_x509_csr(block.content if block else content)


def pair(certificate: str, key: str) -> tuple[list[bytes], Any]:
    """DER of the certificates of a chain, and the private key of the first one. Raises one of UNREADABLE."""
    chain = [block.content for block in _blocks(certificate, "CERTIFICATE") if block.label == "CERTIFICATE"]
    keys = [block.content for block in _blocks(key, "PRIVATE KEY") if f" {block.label}".endswith(" PRIVATE KEY")]
    if not chain or not keys:
        raise ValueError("a certificate or a key is missing")
    private = load(keys[0])
    if x509.load_der_x509_certificate(chain[0]).public_key() != private.public_key():
        raise ValueError("the key is another certificate's")
    return chain, private


def _blocks(given: str, label: str) -> list[pem.Block]:
    """Blocks of PEM, or the one that DER in base64 would make."""
    content = octets(given) if given.startswith(f"{BEGIN} ") else from_base64(given)
    if content.startswith(f"{BEGIN} ".encode()):
        return list(pem.blocks(text_of(content)))
    return [pem.Block(label, content, 0)]
