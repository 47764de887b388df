"""The caller's address through a real Envoy and the real judge: who connected, whom proxies name, whom PROXY names."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import grpc
import pytest
from aiohttp import web
from cryptography import x509

from deploy.demo.ports import free_port
from gateway.config import Config, Edge, Service, Tls
from gateway.edge import (
    ADMIN_SOCKET,
    GRPC_SOCKET,
    LOG_SOCKET,
    TETHER_SOCKET,
    Ads,
    EnvoyAdmin,
    judge_socket,
    resources,
)
from gateway.enforcement import Reusing, serve_edge_log, serve_questions, serve_tether
from policy import BlockPolicy, Cause, Target
from telemetry import Event
from tests.authority import Authority
from tests.gateway.edge_rig import DEADLINE, envoy, material, until
from tests.gateway.parts import Bank

STRANGER = "127.0.0.9"  # whose packets come from an address that nobody trusts
PROXY = "127.0.0.1"
CALLER = "198.51.100.7"
CLAIMED = (
    *("X-Portcullis-Subject", "x-portcullis-decision", "x-portcullis-anything", "Txn-Token"),
    *("Forwarded", "X-Forwarded-Client-Cert", "X-Forwarded-Host", "X-Forwarded-User", "X-Forwarded-Email"),
    *("X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Server"),
    *("X-Real-IP", "True-Client-IP", "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "X-Originating-IP"),
    *("X-Remote-IP", "X-Remote-Addr", "X-Remote-User", "Remote-User", "X-Original-Forwarded-For"),
    *("CF-Connecting-IP", "CF-Connecting-IPv6", "Cf-Access-Jwt-Assertion", "Fastly-Client-IP", "X-Azure-ClientIP"),
    *("X-Envoy-External-Address", "X-Envoy-Internal", "X-Envoy-Original-Path", "X-Envoy-Peer-Metadata"),
    *("Client-Cert", "Client-Cert-Chain", "X-SSL-Client-Cert", "SSL-Client-Verify", "X-Client-Cert"),
    *("X-Auth-Request-User", "X-Amzn-Oidc-Identity", "X-Goog-Authenticated-User-Email", "X-Goog-IAP-JWT-Assertion"),
    *("X-MS-Client-Principal-Name", "X-Original-URL", "X-Rewrite-URL"),
)


@dataclass
class Front:
    """A real Envoy before the real judge, and an upstream that keeps the headers it was sent."""

    bank: Bank
    port: int
    upstream: list[Any] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    async def send(self, path: str, *headers: str, before: bytes = b"", source: str = PROXY) -> int:
        """One request with raw header lines; its status, 0 where the edge only closed. A stream ends with it."""
        token = self.bank.token()
        lines = [f"GET {path} HTTP/1.1", "host: bank", f"authorization: Bearer {token}", *headers, "", ""]
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection(PROXY, self.port, local_addr=(source, 0))
            try:
                writer.write(before + "\r\n".join(lines).encode("latin-1"))
                line = await reader.readline()
            except ConnectionError:
                return 0
            finally:
                writer.close()
        return int(line.split()[1]) if line else 0

    async def logged(self, path: str) -> str:
        """The address of the event that a request to this path became."""
        await until(lambda: any(event.resource == path for event in self.events), f"{path} is logged")
        return next(event.address for event in self.events if event.resource == path)

    def block(self, address: str) -> None:
        target, cause = Target.of("address", address), Cause(reason="test", by="test")
        order = BlockPolicy(
            id=f"b-{crc32(address.encode()):016x}", target=target, created=0.0, expires=2.0**33, cause=cause
        )
        self.bank.blocklist.enforce([order])


async def _upstream(stack: AsyncExitStack, seen: list[Any]) -> int:
    async def keep(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.copy())
        if not request.path.startswith("/streams/"):
            return web.Response(text="ok")
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"1")
        await asyncio.Event().wait()
        return stream

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", keep)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


async def _asked(stack: AsyncExitStack, front: Front, config: Config, ads: Ads) -> None:
    judge, run = front.bank.judge, config.state / "run"
    serving = asyncio.create_task(serve_questions(judge, Reusing(0, 15), 1, judge_socket(run, 0)))
    stack.callback(serving.cancel)
    logging = asyncio.create_task(serve_edge_log(lambda batch: front.events.extend(batch.events()), run / LOG_SOCKET))
    stack.callback(logging.cancel)
    tethering = asyncio.create_task(serve_tether(judge, front.bank.sessions, front.bank.opened, run / TETHER_SOCKET))
    stack.callback(tethering.cancel)
    server = grpc.aio.server()
    ads.add_to(server)
    server.add_insecure_port(f"unix:{run / GRPC_SOCKET}")
    await server.start()
    stack.push_async_callback(server.stop, None)


@asynccontextmanager
async def front(**edge: Any) -> AsyncIterator[Front]:
    """Everything, running."""
    async with AsyncExitStack() as stack:
        run = Path(tempfile.mkdtemp(prefix="edge-")) / "run"
        run.mkdir()
        stack.callback(shutil.rmtree, run.parent)
        port = free_port()
        made = Front(Bank(edge=Edge(port=port, access_log_flush_ms=10, **edge)), port)
        service = Service(address="127.0.0.1", port=await _upstream(stack, made.upstream))
        services = made.bank.config.services | {"bank": service}
        config, ads = made.bank.config.model_copy(update={"state": run.parent, "services": services}), Ads()
        await _asked(stack, made, config, ads)
        await stack.enter_async_context(envoy(config, run))
        version = ads.publish(resources(config, tls=await material(config)))
        await until(EnvoyAdmin(run / ADMIN_SOCKET).ready, "Envoy is ready")
        assert await ads.applied(version, DEADLINE)
        yield made


PATHS = ("/accounts/1001", "/streams/1001")  # a request that is asked about, and a stream that is tethered


async def _counts(front: Front, path: str, caller: str, *headers: str, **how: Any) -> None:
    """The caller's address is one and the same for policy, upstream and access log."""
    for kept in (front.upstream, front.bank.seen, front.events):
        kept.clear()
    assert await front.send(path, *headers, **how) == 200
    assert [request.address for request, _ in front.bank.seen] == [caller]
    assert [headers.getall("x-forwarded-for") for headers in front.upstream] == [[caller]]
    assert "x-envoy-external-address" not in front.upstream[0]
    assert await front.logged(path) == caller


@pytest.mark.parametrize("path", PATHS)
async def test_without_trusted_proxies_it_is_who_connected(path: str) -> None:
    async with front() as edge:
        await _counts(edge, path, STRANGER, f"x-forwarded-for: {CALLER}", source=STRANGER)
        await _counts(edge, path, PROXY, f"x-forwarded-for: {CALLER}", "forwarded: for=192.0.2.66")


@pytest.mark.parametrize("path", PATHS)
async def test_behind_trusted_proxies_it_is_whom_they_name(path: str) -> None:
    async with front(trusted_proxies=(PROXY, "10.0.0.0/8")) as edge:
        await _counts(edge, path, CALLER, f"x-forwarded-for: {CALLER}")
        await _counts(edge, path, CALLER, f"X-Forwarded-For: 192.0.2.66, {CALLER}:4711, 10.0.0.1")
        await _counts(edge, path, CALLER, "x-forwarded-for: 192.0.2.66", f"x-forwarded-for: ::ffff:{CALLER}")
        await _counts(edge, path, CALLER, f"x-forwarded-for: {CALLER}", "x-forwarded-for: 10.0.0.1")
        await _counts(edge, path, "2001:db8::7", "x-forwarded-for: [2001:DB8:0::7]:443")
        await _counts(edge, path, "10.0.0.1", f"x-forwarded-for: {CALLER},,10.0.0.1")
        await _counts(edge, path, PROXY, f"x-forwarded-for: {CALLER}, unknown")
        await _counts(edge, path, PROXY, "x-forwarded-for:")
        await _counts(edge, path, PROXY)
        await _counts(edge, path, STRANGER, f"x-forwarded-for: {CALLER}, 10.0.0.1", source=STRANGER)


async def test_the_address_that_counts_is_the_one_that_is_blocked() -> None:
    async with front(trusted_proxies=(PROXY,)) as edge:
        edge.block(CALLER)
        for path in PATHS:
            edge.events.clear()
            assert await edge.send(path, "x-forwarded-for: 192.0.2.1") == 200
            assert await edge.send(f"{path}/x", f"x-forwarded-for: 192.0.2.1, ::ffff:{CALLER}") == 403
            assert await edge.logged(f"{path}/x") == CALLER
        assert await edge.send("/accounts/1001", f"x-forwarded-for: {CALLER}", source=STRANGER) == 200


async def test_header_lines_of_http2_are_one_list_too() -> None:
    async with front(trusted_proxies=(PROXY,)) as edge, grpc.aio.insecure_channel(f"{PROXY}:{edge.port}") as channel:
        edge.block(CALLER)
        call, codes = channel.unary_unary("/bank.Ledger/Balance"), []
        for last in (CALLER, "192.0.2.1"):
            lines = [("x-forwarded-for", "192.0.2.66"), ("x-forwarded-for", last)]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", metadata=[("authorization", f"Bearer {edge.bank.token()}"), *lines], timeout=DEADLINE)
            codes.append(caught.value.code())
        assert codes == [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE]  # there is no such upstream
        assert [request.address for request, _ in edge.bank.seen] == ["192.0.2.1"]


async def test_a_stream_is_cut_by_the_address_that_counts() -> None:
    async with front(trusted_proxies=(PROXY,)) as edge:
        reader, writer = await asyncio.open_connection(PROXY, edge.port)
        lines = ["GET /streams/1001 HTTP/1.1", "host: bank", f"authorization: Bearer {edge.bank.token()}"]
        writer.write("\r\n".join([*lines, f"x-forwarded-for: {CALLER}", "", ""]).encode())
        async with asyncio.timeout(DEADLINE):
            assert b" 200 " in await reader.readline()
            (session,) = edge.bank.sessions
            assert session.request.address == CALLER
            edge.block(CALLER)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readuntil(b"0\r\n\r\n")  # the end of a stream that nobody cut
        writer.close()


@pytest.mark.parametrize("edge", [{}, {"trusted_proxies": (PROXY,)}], ids=["none trusted", "trusted"])
@pytest.mark.parametrize("path", PATHS)
async def test_nothing_that_a_caller_claims_to_be_reaches_the_upstream(path: str, edge: dict[str, Any]) -> None:
    async with front(**edge) as running:
        lie = "caller-text"
        twice = [f"{name}: {lie}" for name in CLAIMED for _ in range(2)]
        hops = "Connection: X-Portcullis-Subject"  # so RFC 9110 section 7.6.1 would take the gateway's own away
        assert await running.send(path, *twice, "X-Forwarded-For: caller-text", hops, "X-Business: kept") == 200
        (headers,) = running.upstream
        assert headers.getall("x-business") == ["kept"]
        assert [name for name, value in headers.items() if lie in value] == []
        assert headers.getall("x-portcullis-subject") == ["person:alice"]
        assert headers.getall("x-forwarded-for") == [PROXY]
        (request, _) = running.bank.seen[0]
        assert request.address == PROXY


def version_1(protocol: str, source: str, target: str) -> bytes:
    return f"PROXY {protocol} {source} {target} 51234 443\r\n".encode()


def version_2(source: str, target: str, command: int = 0x21) -> bytes:
    """The binary header (HAProxy's PROXY protocol, section 2.2)."""
    pair = [ipaddress.ip_address(source), ipaddress.ip_address(target)]
    family = 0x11 if pair[0].version == 4 else 0x21
    block = b"".join(address.packed for address in pair) + struct.pack("!HH", 51234, 443)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, family, len(block)) + block


PROXY_HEADERS = {
    "v1": (version_1("TCP4", CALLER, "127.0.0.1"), CALLER),
    "v1, IPv6": (version_1("TCP6", "2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v1, mapped": (version_1("TCP6", f"::ffff:{CALLER}", "::ffff:127.0.0.1"), CALLER),
    "v1, unknown": (b"PROXY UNKNOWN\r\n", PROXY),
    "v2": (version_2(CALLER, "127.0.0.1"), CALLER),
    "v2, IPv6": (version_2("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v2, mapped": (version_2(f"::ffff:{CALLER}", "::ffff:127.0.0.1"), CALLER),
    "v2, local": (version_2(CALLER, "127.0.0.1", 0x20), PROXY),
}


async def test_a_proxy_header_names_the_caller() -> None:
    async with front(proxy_protocol_from=(PROXY,)) as edge:
        for path in PATHS:
            for header, caller in PROXY_HEADERS.values():
                await _counts(edge, path, caller, "x-forwarded-for: 192.0.2.66", before=header)
        edge.block(CALLER)
        for name in ("v1", "v1, mapped", "v2", "v2, mapped"):
            assert await edge.send("/accounts/1001", before=PROXY_HEADERS[name][0]) == 403
        assert await edge.send("/accounts/1001", before=PROXY_HEADERS["v2, IPv6"][0]) == 200


async def test_a_proxy_header_comes_before_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.issue("edge", x509.DNSName("localhost"))
    async with front(proxy_protocol_from=(PROXY,), tls=Tls(certificate=certificate, key=key)) as edge:
        reader, writer = await asyncio.open_connection(PROXY, edge.port)
        async with asyncio.timeout(DEADLINE):
            writer.write(PROXY_HEADERS["v2"][0])
            trust = ssl.create_default_context(cafile=str(authority.certificate))
            await writer.start_tls(trust, server_hostname="localhost")
            token = edge.bank.token()
            writer.write(f"GET /accounts/1001 HTTP/1.1\r\nhost: bank\r\nauthorization: Bearer {token}\r\n\r\n".encode())
            assert b" 200 " in await reader.readline()
        writer.close()
        assert [request.address for request, _ in edge.bank.seen] == [CALLER]


async def test_what_the_edge_itself_refuses_is_logged_with_the_address_of_the_proxy_header() -> None:
    async with front(proxy_protocol_from=(PROXY,)) as edge:
        assert await edge.send("/accounts%2f1001", before=PROXY_HEADERS["v2"][0]) == 400
        assert await edge.logged("/accounts/1001") == CALLER  # the path as Envoy reads it


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"PROXY TCP4 198.51.100.7 127.0.0.1 51234\r\n",
        b"PROXY TCP4 bank 127.0.0.1 51234 443\r\n",
        b"PROXY " + b"x" * 200,
        version_2(CALLER, "127.0.0.1", 0x31),
    ],
)
async def test_a_connection_without_a_proper_proxy_header_is_closed(before: bytes) -> None:
    async with front(proxy_protocol_from=(PROXY,)) as edge:
        assert await edge.send("/accounts/1001", before=before) == 0
        assert not edge.upstream


async def test_a_stranger_may_not_bring_a_proxy_header() -> None:
    async with front(proxy_protocol_from=(PROXY,)) as edge:
        assert await edge.send("/accounts/1001", before=PROXY_HEADERS["v1"][0], source=STRANGER) == 0
        assert await edge.send("/accounts/1001", before=PROXY_HEADERS["v2"][0], source=STRANGER) == 0
        assert not edge.upstream


async def test_a_proxy_header_where_none_is_expected_is_no_request() -> None:
    async with front(trusted_proxies=(PROXY,)) as edge:
        assert await edge.send("/accounts/1001", before=PROXY_HEADERS["v1"][0]) == 400
        assert not edge.upstream


async def test_proxies_behind_a_balancer_are_trusted_by_the_address_that_it_names() -> None:
    async with front(proxy_protocol_from=(PROXY,), trusted_proxies=("10.0.0.0/8",)) as edge:
        trusted, stranger = version_1("TCP4", "10.0.0.1", "127.0.0.1"), version_1("TCP4", "192.0.2.1", "127.0.0.1")
        for path in PATHS:
            await _counts(edge, path, CALLER, f"x-forwarded-for: {CALLER}", before=trusted)
            await _counts(edge, path, "192.0.2.1", f"x-forwarded-for: {CALLER}", before=stranger)
            await _counts(edge, path, PROXY, f"x-forwarded-for: {CALLER}", before=b"PROXY UNKNOWN\r\n")
