"""TLS at a real Envoy: a client certificate is optional, must verify, and is told to the gateway."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import unquote

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.config import Tls
from tests.authority import Authority
from tests.gateway.edge_rig import Rig, rig

SPIFFE_ID = "spiffe://bank.example/batch"


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
    assert x509.load_pem_x509_certificates(unquote(told["Chain"].strip('"')).encode())[0] == certificate


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
