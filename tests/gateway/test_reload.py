"""Another configuration in a whole gateway behind a real Envoy: services and routes change together, or not at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bench.identities.callers import HOST
from deploy.demo.ports import free_port
from gateway.app import Gateway
from gateway.config import Config, Route, Service, ServiceTls
from gateway.configuration import ConfigurationError, Loaded
from gateway.edge import ADMIN_SOCKET, EnvoyAdmin
from gateway.operations import GatewayOperations
from tests.gateway.edge_rig import until
from tests.gateway.front import SERVER, Front, front
from tests.gateway.upstream_rig import Upstream, upstream


@dataclass
class Site:
    """The whole, with one more service that nothing leads to yet, and the file of its configuration in memory."""

    front: Front
    other: Upstream
    file: Config | Exception

    async def reload(self, dry_run: bool = False) -> dict[str, Any]:
        return await GatewayOperations(self.front.gateway, self._read).reload_configuration(dry_run)

    def _read(self) -> Loaded:
        if isinstance(self.file, Exception):
            raise self.file
        return Loaded(self.file, {})

    def changed(self, **branches: Any) -> Config:
        return self.front.gateway.config.model_copy(update=branches)

    def leading_elsewhere(self, prefix: str = "/accounts", **route: Any) -> Config:
        """The other service behind a prefix of the usual one."""
        config = self.front.gateway.config
        services = {**config.services, "other": Service(address="127.0.0.1", port=self.other.port)}
        return self.changed(services=services, routes=(Route(prefix=prefix, service="other", **route), *config.routes))

    async def status(self, path: str = "/accounts/1001", **claims: Any) -> int:
        token = self.front.issuer.token(**{"sub": "person:alice", **claims})
        return (await self.front.get(path, {"authorization": f"Bearer {token}"}))[0]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with front() as running, upstream() as other:
        yield Site(running, other, running.gateway.config)


async def test_a_route_leads_to_its_new_service_when_the_order_returns(site: Site) -> None:
    assert await site.status() == 200
    site.file = site.leading_elsewhere()
    answer = await site.reload()
    assert answer == {"outcome": "live", "changed": ["services.other", "routes"], "sessions_ended": 0}
    assert await site.status() == 200
    assert [path for _, path in site.other.seen] == ["/accounts/1001"]


async def test_a_new_service_is_never_blocked(site: Site) -> None:
    operations = GatewayOperations(site.front.gateway)

    async def would() -> str:
        answer = await operations.add_block("address", "198.51.100.44", 60, "x", "jo", False, dry_run=True)
        return str(answer["would"])

    assert await would() == "accepted"
    services = {**site.front.gateway.config.services, "new": Service(address="198.51.100.44", port=1)}
    site.file = site.changed(services=services)
    assert (await site.reload())["outcome"] == "live"
    assert await would() == "refused"


async def test_it_is_judged_for_its_new_service(site: Site) -> None:
    config = site.leading_elsewhere()
    other = config.services["other"].model_copy(update={"audience": "other"})
    site.file = config.model_copy(update={"services": {**config.services, "other": other}})
    assert "problems" not in await site.reload()
    assert await site.status() == 401  # the token is for another
    assert await site.status(aud="other") == 200
    assert len(site.other.seen) == 1
    site.file = site.changed(services={"accounts": config.services["accounts"]}, routes=config.routes[1:])
    assert "problems" not in await site.reload()
    assert await site.status(aud="other") == 401  # nobody is called that any more
    assert await site.status() == 200


async def test_a_dry_run_says_what_would_change_and_changes_nothing(site: Site) -> None:
    site.file = site.leading_elsewhere()
    answer = await site.reload(dry_run=True)
    assert answer == {"outcome": "dry_run", "changed": ["services.other", "routes"], "sessions_ended": 0}
    assert await site.status() == 200
    assert not site.other.seen


async def test_what_needs_a_restart_is_named_and_nothing_changes(site: Site) -> None:
    elsewhere = site.leading_elsewhere()
    edge = elsewhere.edge.model_copy(update={"port": free_port(), "max_headers_kb": 8})
    site.file = elsewhere.model_copy(update={"edge": edge, "metrics_port": 9999})
    problems = [f"needs a restart: {key}" for key in ("edge.port", "edge.max_headers_kb", "metrics_port")]
    assert await site.reload() == {"problems": problems}
    assert await site.status() == 200
    assert not site.other.seen


async def test_a_file_that_does_not_load_changes_nothing(site: Site) -> None:
    site.file = ConfigurationError(["portcullis.yaml:3: routes.0.service: there is no service 'x'"])
    assert await site.reload() == {"problems": ["portcullis.yaml:3: routes.0.service: there is no service 'x'"]}
    assert await site.status() == 200


@pytest.mark.parametrize(
    ("service", "route"), [({"address": ""}, {}), ({}, {"timeout_seconds": -100.0})], ids=["cluster", "route"]
)
async def test_what_the_edge_refuses_changes_nothing(
    site: Site, service: dict[str, Any], route: dict[str, Any]
) -> None:
    """What our own checks would have refused already."""
    elsewhere = site.leading_elsewhere()
    other, first = elsewhere.services["other"].model_copy(update=service), elsewhere.routes[0].model_copy(update=route)
    services, routes = {**elsewhere.services, "other": other}, (first, *elsewhere.routes[1:])
    site.file = elsewhere.model_copy(update={"services": services, "routes": routes})
    (problem,) = (await site.reload())["problems"]
    assert problem.startswith("the edge refuses it: ")
    assert await site.status() == 200
    assert not site.other.seen
    site.file = site.leading_elsewhere()
    assert (await site.reload())["outcome"] == "live"
    assert await site.status() == 200
    assert len(site.other.seen) == 1


async def test_files_that_cannot_be_used_change_nothing(site: Site, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    config = site.leading_elsewhere()
    tls = config.services["other"].model_copy(update={"tls": ServiceTls(ca=tmp_path / "ca.pem")})
    site.file = config.model_copy(update={"services": {**config.services, "other": tls}})
    assert await site.reload() == {"problems": ["services.other.tls: its files cannot be used"]}
    assert await site.status() == 200


async def test_a_service_with_tls_is_reached_when_the_order_returns(site: Site, tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*SERVER.leaf(other=(x509.DNSName("other.bank"),)).write(tmp_path, "other"))
    (tmp_path / "ca.pem").write_bytes(SERVER.pem)
    async with upstream(tls=context) as service:
        tls = ServiceTls(ca=tmp_path / "ca.pem", server_name="other.bank")
        added = Service(address="127.0.0.1", port=service.port, tls=tls)
        config = site.leading_elsewhere()
        site.file = config.model_copy(update={"services": {**config.services, "other": added}})
        assert "problems" not in await site.reload()
        assert await site.status() == 200
        assert len(service.seen) == 1


async def test_without_an_edge_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    service, route = Service(address="127.0.0.1", port=1), Route(prefix="/", service="bank")
    before = Config(state=tmp_path, services={"bank": service}, routes=(route,))
    after = before.model_copy(update={"routes": (Route(prefix="/bank", service="bank"),)})
    async with Gateway.open(before) as gateway:
        answer = await GatewayOperations(gateway, lambda: Loaded(after, {})).reload_configuration(dry_run=False)
        assert answer == {"problems": ["the edge is not connected: nobody would take the change"]}
        assert gateway.config is before


async def test_a_live_stream_ends_when_its_route_is_another(site: Site) -> None:
    async with site.front.stream(site.front.issuer.token(sub="person:alice")) as stream:
        site.file = site.leading_elsewhere("/payments/new")
        assert (await site.reload())["sessions_ended"] == 0
        assert not stream.done()
        site.file = site.leading_elsewhere("/streams/live", stream=True)
        assert (await site.reload())["sessions_ended"] == 1
        await asyncio.wait_for(stream, 10)


async def test_a_request_under_way_is_never_judged_for_one_route_and_served_by_another(site: Site) -> None:
    """Its head finds the old route; its body, without which it is not judged, comes when the new routes are live."""
    (route,) = [route for route in site.front.gateway.config.routes if route.prefix == "/payments"]
    sent = {"host": HOST, "authorization": f"Bearer {site.front.issuer.token(sub='person:alice')}"}
    url, rest, arrived = f"https://localhost:{site.front.port}/payments/1", asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"amount":'
        arrived.set()
        await rest.wait()
        yield b" 1}"

    async def pay() -> int:
        async with site.front.session.post(url, data=body(), headers=sent) as answer:
            return answer.status

    begun = asyncio.create_task(pay())
    await arrived.wait()
    await until(lambda: _active(site), "the edge has its head")
    site.file = site.leading_elsewhere("/payments", body_bytes=route.body_bytes)
    assert "problems" not in await site.reload()
    rest.set()
    assert await begun == 403
    assert not site.other.seen
    assert not site.front.bodies
    async with site.front.session.post(url, data=b'{"amount": 1}', headers=sent) as answer:
        assert answer.status == 200
    assert len(site.other.seen) == 1


async def _active(site: Site) -> bool:
    stats = await EnvoyAdmin(site.front.gateway.run / ADMIN_SOCKET).stats("http.edge.downstream_rq_active")
    return sum(stats.values()) > 0


async def test_under_load_no_request_is_lost_or_goes_astray(site: Site) -> None:
    """A route goes back and forth between two services, and one that does not change is asked all the while."""
    plain, elsewhere = site.front.gateway.config, site.leading_elsewhere()
    statuses: dict[str, list[int]] = {"/accounts/1001": [], "/payments/1": []}
    async with _asking(site, statuses):
        for turn in range(20):
            site.file = elsewhere if turn % 2 == 0 else plain
            assert "problems" not in await site.reload()
            before = len(site.other.seen)
            assert await site.status("/accounts/mine") == 200
            assert (("GET", "/accounts/mine") in site.other.seen[before:]) == (turn % 2 == 0)
    assert set(statuses["/payments/1"]) == {200}
    assert set(statuses["/accounts/1001"]) <= {200, 403, 503}
    assert 200 in statuses["/accounts/1001"]
    assert {path for _, path in site.other.seen} == {"/accounts/1001", "/accounts/mine"}


@asynccontextmanager
async def _asking(site: Site, statuses: dict[str, list[int]]) -> AsyncIterator[None]:
    async def ask(path: str, told: Callable[[int], None]) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                told(await site.status(path))

    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(ask(path, told.append)) for path, told in statuses.items() for _ in range(2)]
        await until(lambda: all(statuses.values()), "all are asked")
        yield
        for task in asking:
            task.cancel()
