"""TLS at a real Envoy: a client certificate is optional, must verify, and is told to the gateway."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from urllib.parse import unquote

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.config import Tls
from tests.gateway.edge_rig import Rig, rig

SPIFFE_ID = "spiffe://bank.example/batch"
_NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """A certificate authority that lives for one test."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(self._name, self._name, self._key).add_extension(constraints, critical=True)
        self.certificate = self._write(f"{name}.pem", builder.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, san: x509.GeneralName) -> tuple[Path, Path]:
        """Certificate and key files of a leaf."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self._name, key)
        builder = builder.add_extension(x509.SubjectAlternativeName([san]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        certificate = self._write(f"{name}.pem", builder.sign(self._key, hashes.SHA256()))
        key_file = self._folder / f"{name}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key_file

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self._folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    hour = datetime.timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(_NOW - hour).not_valid_after(_NOW + hour)


def _edge_tls(folder: Path, authority: Authority, *, asks: bool = True) -> Tls:
    certificate, key = authority.issue("edge", x509.DNSName("localhost"))
    return Tls(certificate=certificate, key=key, client_ca=authority.certificate if asks else None)


def _trusting(authority: Authority, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if client:
        context.load_cert_chain(*client)
    return context


async def _get(edge: Rig, context: ssl.SSLContext) -> int:
    url = f"https://localhost:{edge.config.edge.port}/accounts/1"
    spoofed = {"x-forwarded-client-cert": "Hash=1;URI=spiffe://bank.example/root"}
    async with edge.http.get(url, ssl=context, headers=spoofed) as answer:
        return answer.status


async def test_a_caller_without_certificate_is_served_and_has_none(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    async with rig(tls=_edge_tls(tmp_path, authority)) as edge:
        assert await _get(edge, _trusting(authority)) == 200
    assert "x-forwarded-client-cert" not in edge.gateway.asked[0]["headers"]


async def test_a_callers_certificate_is_told_with_its_hash_uri_and_content(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    client = authority.issue("batch", x509.UniformResourceIdentifier(SPIFFE_ID))
    async with rig(tls=_edge_tls(tmp_path, authority)) as edge:
        assert await _get(edge, _trusting(authority, client)) == 200
    told = dict(part.split("=", 1) for part in edge.gateway.asked[0]["headers"]["x-forwarded-client-cert"].split(";"))
    certificate = x509.load_pem_x509_certificate(client[0].read_bytes())
    assert told["Hash"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert told["URI"] == SPIFFE_ID
    assert x509.load_pem_x509_certificate(unquote(told["Cert"].strip('"')).encode()) == certificate


async def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "ca"), Authority(tmp_path, "stranger")
    client = stranger.issue("batch", x509.UniformResourceIdentifier(SPIFFE_ID))
    async with rig(tls=_edge_tls(tmp_path, authority)) as edge:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await _get(edge, _trusting(authority, client))
    assert not edge.gateway.asked


async def test_an_edge_without_client_authority_asks_for_no_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    client = authority.issue("batch", x509.UniformResourceIdentifier(SPIFFE_ID))
    async with rig(tls=_edge_tls(tmp_path, authority, asks=False)) as edge:
        assert await _get(edge, _trusting(authority, client)) == 200
    assert "x-forwarded-client-cert" not in edge.gateway.asked[0]["headers"]
