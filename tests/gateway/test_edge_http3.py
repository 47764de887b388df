"""HTTP/3 through a real Envoy: judged as the rest is, and told of to those who come over TCP."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from gateway.config import Tls
from tests.authority import Authority
from tests.gateway.edge_rig import ALICE, Rig, deny, rig
from tests.gateway.http3 import Http3, http3


@asynccontextmanager
async def edge_of(folder: Path, *, asks: bool = False) -> AsyncIterator[tuple[Rig, Http3, Authority]]:
    authority = Authority(folder, "ca")
    certificate, key = authority.issue("edge", x509.DNSName("localhost"))
    tls = Tls(certificate=certificate, key=key, client_ca=authority.certificate if asks else None)
    async with rig(tls=tls, http3=True) as edge, http3(edge.config.edge.port, authority.certificate) as caller:
        yield edge, caller, authority


async def test_a_request_is_judged_and_served(tmp_path: Path) -> None:
    async with edge_of(tmp_path) as (edge, caller, _):
        status, headers, body = await caller.ask("GET", "/accounts/1", {"authorization": "Bearer t"})
    assert (status, body) == (200, b"ok")
    assert headers["x-portcullis-decision"] == ALICE["x-portcullis-decision"]
    assert edge.gateway.asked[0]["headers"]["authorization"] == "Bearer t"
    assert edge.gateway.asked[0]["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert "authorization" not in edge.seen[0]["headers"]


async def test_a_refusal_is_a_refusal(tmp_path: Path) -> None:
    async with edge_of(tmp_path) as (edge, caller, _):
        edge.gateway.answer = deny
        status, headers, body = await caller.ask("POST", "/accounts/1", body=b"x" * 1000)
    assert (status, body) == (403, b'{"error":"access_denied"}')
    assert headers["www-authenticate"] == 'Bearer realm="bank"'
    assert not edge.seen


async def test_nothing_passes_while_the_gateway_is_away(tmp_path: Path) -> None:
    async with edge_of(tmp_path) as (edge, caller, _):
        await edge.close_authz()
        assert (await caller.ask("GET", "/accounts/1"))[0] == 503
    assert not edge.seen


@pytest.mark.parametrize("path", ["/accounts/%2F..", "/unknown"])
async def test_paths_are_read_as_over_tcp(tmp_path: Path, path: str) -> None:
    async with edge_of(tmp_path) as (edge, caller, _):
        assert (await caller.ask("GET", path))[0] in (400, 403)
    assert not edge.seen


async def test_headers_that_claim_something_go(tmp_path: Path) -> None:
    claims = {"x-portcullis-subject": "person:root", "x-forwarded-for": "10.0.0.1", "x-forwarded-client-cert": "Hash=1"}
    async with edge_of(tmp_path, asks=True) as (edge, caller, _):
        assert (await caller.ask("GET", "/accounts/1", claims))[0] == 200
    assert edge.seen[0]["headers"]["x-portcullis-subject"] == ALICE["x-portcullis-subject"]
    assert edge.seen[0]["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert "x-forwarded-client-cert" not in edge.gateway.asked[0]["headers"]


async def test_a_body_is_shown_to_policy_and_bounded(tmp_path: Path) -> None:
    async with edge_of(tmp_path) as (edge, caller, _):
        assert (await caller.ask("POST", "/payments", body=b'{"amount":1}'))[0] == 200
        assert edge.gateway.asked[0]["body"] == b'{"amount":1}'
        assert (await caller.ask("POST", "/payments", body=b"x" * 400_000))[0] == 413
    assert len(edge.seen) == 1


async def test_callers_over_tcp_are_told_of_it(tmp_path: Path) -> None:
    async with edge_of(tmp_path) as (edge, _, authority):
        trust, port = ssl.create_default_context(cafile=str(authority.certificate)), edge.config.edge.port
        async with edge.http.get(f"https://localhost:{port}/accounts/1", ssl=trust) as answer:
            assert answer.headers["alt-svc"] == f'h3=":{port}"; ma=86400'


async def test_without_the_option_nobody_listens_on_udp(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.issue("edge", x509.DNSName("localhost"))
    async with rig(tls=Tls(certificate=certificate, key=key)) as edge:
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", edge.config.edge.port))  # as it could not be, if Envoy had it
