"""Certificates of one run: an authority, the edge's certificate, and the batch workload's X.509-SVID."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.demo.cast import BATCH

EDGE_NAME = "bank.example"
DAYS = 2


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM; a key beside each certificate."""

    authority: Path
    edge: Path
    edge_key: Path
    workload: Path
    workload_key: Path

    @classmethod
    def write(cls, folder: Path, edge_address: str) -> Certificates:
        """Make and write them all."""
        folder.mkdir(mode=0o700)
        made = cls(*(folder / name for name in ("ca.pem", "edge.pem", "edge.key", "workload.pem", "workload.key")))
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("The demo's authority")
        usage = _usage(signs_certificates=True)
        authority = _builder(name, name, key.public_key()).add_extension(x509.BasicConstraints(True, 0), True)
        _write(made.authority, authority.add_extension(usage, True).sign(key, hashes.SHA256()))
        edge_names = [x509.DNSName(EDGE_NAME), x509.IPAddress(ipaddress.ip_address(edge_address))]
        _leaf(made.edge, made.edge_key, EDGE_NAME, edge_names, name, key)
        _leaf(made.workload, made.workload_key, "batch", [x509.UniformResourceIdentifier(BATCH)], name, key)
        return made


def _leaf(
    path: Path,
    key_path: Path,
    subject: str,
    names: list[x509.GeneralName],
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    leaf = _builder(_name(subject), issuer, key.public_key())
    leaf = leaf.add_extension(x509.BasicConstraints(False, None), True).add_extension(_usage(), True)
    leaf = leaf.add_extension(x509.SubjectAlternativeName(names), False).add_extension(purposes, False)
    _write(path, leaf.sign(issuer_key, hashes.SHA256()))
    pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_path.touch(0o600)
    key_path.write_bytes(key.private_bytes(pem, pkcs8, plain))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
    return builder.not_valid_after(now + datetime.timedelta(days=DAYS))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(signs_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
