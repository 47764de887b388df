"""TLS from a real Envoy to a service: which certificates it takes, which it shows, and when their files change."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from gateway.config import Config, Route, Service, ServiceTls
from gateway.edge import resources
from gateway.trust import Upstreams
from tests.authority import Authority
from tests.gateway.edge_rig import DEADLINE, Rig, rig, until
from tests.gateway.upstream_rig import Upstream, serving, upstream

NAME = "accounts.bank.example"


def _server(authority: Authority, *names: x509.GeneralName, clients: Authority | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("service", *names))
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.certificate)
    return context


def _service(port: int, tls: ServiceTls) -> Service:
    return Service(address="127.0.0.1", port=port, tls=tls)


async def _status(edge: Rig, method: str = "GET") -> int:
    async with edge.http.request(method, edge.url("/accounts/1")) as answer:
        return answer.status


@asynccontextmanager
async def between(context: ssl.SSLContext, tls: ServiceTls) -> AsyncIterator[tuple[Rig, Upstream]]:
    async with upstream(tls=context) as service, rig(shape=serving(_service(service.port, tls))) as edge:
        yield edge, service


@pytest.mark.parametrize(
    ("san", "wanted"),
    [
        (x509.DNSName(NAME), NAME),
        (x509.DNSName("*.bank.example"), NAME),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), None),
        (x509.UniformResourceIdentifier("spiffe://bank.example/accounts"), "spiffe://bank.example/accounts"),
    ],
)
async def test_a_service_with_the_name_is_served(tmp_path: Path, san: x509.GeneralName, wanted: str | None) -> None:
    authority = Authority(tmp_path, "ca")
    tls = ServiceTls(ca=authority.certificate, server_name=wanted)
    async with between(_server(authority, san), tls) as (edge, _):
        assert await _status(edge) == 200


@pytest.mark.parametrize(
    "san",
    [
        x509.DNSName("ledger.bank.example"),
        x509.DNSName("*.example"),
        x509.UniformResourceIdentifier(f"https://{NAME}"),
    ],
)
async def test_one_with_another_name_gets_nothing(tmp_path: Path, san: x509.GeneralName) -> None:
    authority = Authority(tmp_path, "ca")
    tls = ServiceTls(ca=authority.certificate, server_name=NAME)
    async with between(_server(authority, san), tls) as (edge, service):
        assert await _status(edge) == 503
    assert not service.seen


async def test_one_that_another_authority_vouches_for_gets_nothing(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "ca"), Authority(tmp_path, "stranger")
    tls = ServiceTls(ca=authority.certificate, server_name=NAME)
    async with between(_server(stranger, x509.DNSName(NAME)), tls) as (edge, service):
        assert await _status(edge) == 503
    assert not service.seen


async def test_a_service_that_speaks_plain_text_gets_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    tls = ServiceTls(ca=authority.certificate, server_name=NAME)
    async with upstream() as service, rig(shape=serving(_service(service.port, tls))) as edge:
        assert await _status(edge) == 503
    assert not service.seen


async def test_a_service_with_old_tls_gets_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    context = _server(authority, x509.DNSName(NAME))
    context.set_ciphers("AES128-GCM-SHA256:@SECLEVEL=0")  # no forward secrecy
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with between(context, ServiceTls(ca=authority.certificate, server_name=NAME)) as (edge, service):
        assert await _status(edge) == 503
    assert not service.seen


async def test_the_edge_shows_its_own_certificate_where_it_has_one(tmp_path: Path) -> None:
    authority, ours = Authority(tmp_path, "ca"), Authority(tmp_path, "ours")
    context = _server(authority, x509.DNSName(NAME), clients=ours)
    certificate, key = ours.issue("gateway", x509.DNSName("gateway.bank.example"))
    tls = ServiceTls(ca=authority.certificate, server_name=NAME, certificate=certificate, key=key)
    async with between(context, tls) as (edge, service):
        assert await _status(edge) == 200
    assert service.certificates[0]["subjectAltName"] == (("DNS", "gateway.bank.example"),)


async def test_another_certificate_and_authority_are_live_when_their_files_change(tmp_path: Path) -> None:
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    ca = tmp_path / "trusted.pem"
    ca.write_bytes(old.certificate.read_bytes())
    tls = ServiceTls(ca=ca, server_name=NAME)
    async with between(_server(new, x509.DNSName(NAME)), tls) as (edge, _):
        published: list[str] = []

        def publish() -> None:
            published.append(edge.ads.publish(resources(edge.config, services=upstreams.material)))

        upstreams = Upstreams(edge.config.services, publish)
        keeping = asyncio.create_task(upstreams.keep())
        await until(lambda: bool(published), "the files are read")
        assert await _status(edge) == 503
        ca.write_bytes(new.certificate.read_bytes())
        await until(lambda: len(published) > 1, "the file is read again")
        assert await edge.ads.applied(published[-1], DEADLINE)
        assert await _status(edge) == 200
        listeners = await edge.admin.stats("listener_manager.")
        keeping.cancel()
        await asyncio.wait([keeping])
    assert listeners["listener_manager.listener_modified"] == 0


async def test_a_service_whose_files_cannot_be_used_is_away_and_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    ca = tmp_path / "trusted.pem"
    ca.write_bytes(b"nonsense")

    def shape(config: Config) -> Config:
        usual = config.services["accounts"].model_copy(update={"more_addresses": ("127.0.0.1",)})
        config = serving(_service(service.port, ServiceTls(ca=ca, server_name=NAME)))(config)
        routes = (Route(prefix="/usual", service="usual"), *config.routes)
        return config.model_copy(update={"services": {**config.services, "usual": usual}, "routes": routes})

    async with upstream(tls=_server(authority, x509.DNSName(NAME))) as service, rig(shape=shape) as edge:
        assert await _status(edge) == 503
        async with edge.http.get(edge.url("/usual")) as answer:
            assert answer.status == 200
    assert not service.seen
