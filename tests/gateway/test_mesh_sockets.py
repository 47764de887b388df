"""The mesh's sockets, spoken to by another gRPC implementation and by raw bytes: who is let in, and what is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage
from envoy.service.accesslog.v3.als_pb2_grpc import AccessLogServiceStub
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub
from envoy.service.ext_proc.v3.external_processor_pb2 import HttpHeaders, ProcessingRequest
from envoy.service.ext_proc.v3.external_processor_pb2_grpc import ExternalProcessorStub
from google.protobuf.struct_pb2 import Struct
from prometheus_client import REGISTRY

from deploy.demo.ports import free_port
from gateway.config import LocalSocket, Mesh, MeshTcp, MutualTls
from gateway.edge import Claims
from gateway.enforcement import Answer, Attempt, MeshServices
from gateway.enforcement.http2_frames import PREFACE, Frames, Kind, frame
from gateway.mesh import serve_mesh
from telemetry import Event
from tests.gateway.edge_rig import until
from tests.gateway.parts import Bank
from tests.gateway.workloads import Ca

WITHIN = 10.0  # seconds; a bound for a busy machine, not an expectation
CHECK = "/envoy.service.auth.v3.Authorization/Check"
LOGS = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
SETTINGS = frame(Kind.SETTINGS, 0, 0)


class Served:
    """The mesh of one bank."""

    def __init__(self, folder: Path) -> None:
        self.bank = Bank()
        self.socket = folder / "mesh.sock"
        self.events: list[Event] = []

    @contextlib.asynccontextmanager
    async def serving(self, settings: Mesh, folder: Path) -> AsyncIterator[None]:
        bank = self.bank
        services = MeshServices(
            bank.judge,
            bank.sessions,
            bank.opened,
            lambda batch: self.events.extend(batch.events()),
            Claims(("x-core-*",)).among,
        )
        task = asyncio.create_task(serve_mesh(services.services, settings, folder))
        try:
            await until(lambda: self._up(settings, task), "the socket is open")
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _up(self, settings: Mesh, task: asyncio.Task[None]) -> bool:
        if task.done():
            await task
        with contextlib.suppress(OSError):
            if settings.tcp:
                _, writer = await asyncio.open_connection("127.0.0.1", settings.tcp.port)
            else:
                _, writer = await asyncio.open_unix_connection(
                    str((settings.unix and settings.unix.path) or self.socket)
                )
            writer.close()
            return True
        return False

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"unix:{self.socket}")


@contextlib.asynccontextmanager
async def local(folder: Path, **settings: Any) -> AsyncIterator[Served]:
    served = Served(folder)
    async with served.serving(Mesh(unix=LocalSocket(), **settings), folder):
        yield served


def cut(why: str) -> float:
    return REGISTRY.get_sample_value("portcullis_gateway_mesh_cut_total", {"why": why}) or 0.0


def check(
    token: str, path: str = "/accounts/1001", body: bytes = b"", headers: Mapping[str, str] | None = None
) -> CheckRequest:
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host, http.raw_body = "GET", path, "bank", body
    http.headers.update({"authorization": f"Bearer {token}", **(headers or {})})
    request.attributes.source.address.socket_address.address = "10.0.0.5"
    return request


def start(token: str, address: str = "10.0.0.5:4711", **headers: str) -> ProcessingRequest:
    told = {":method": "GET", ":path": "/streams/1001", ":authority": "bank", "authorization": f"Bearer {token}"}
    values = [HeaderValue(key=name, raw_value=value.encode()) for name, value in (told | headers).items()]
    said = Struct()
    if address:
        said.update({"source.address": address})
    return ProcessingRequest(
        request_headers=HttpHeaders(headers=HeaderMap(headers=values)),
        attributes={"envoy.filters.http.ext_proc": said},
    )


async def test_one_connection_carries_checks_streams_and_logs(tmp_path: Path) -> None:
    async with local(tmp_path) as served, served.channel() as channel:
        answer = await AuthorizationStub(channel).Check(check(served.bank.token()), timeout=WITHIN)
        told = {option.header.key: option.header.value for option in answer.ok_response.headers}
        assert (answer.status.code, told["x-portcullis-subject"]) == (0, "person:alice")
        refused = await AuthorizationStub(channel).Check(check(served.bank.token(), "/accounts/2002"), timeout=WITHIN)
        assert (refused.status.code, refused.denied_response.status.code) == (7, 403)
        call = ExternalProcessorStub(channel).Process()
        await call.write(start(served.bank.token()))
        assert (await call.read()).HasField("request_headers")
        (session,) = served.bank.sessions
        assert session.request.address == "10.0.0.5"
        logs = AccessLogServiceStub(channel).StreamAccessLogs()
        for path in ("/a", "/b"):
            message = StreamAccessLogsMessage()
            message.http_logs.log_entry.add().request.path = path
            await logs.write(message)
        await logs.done_writing()
        await asyncio.wait_for(logs, WITHIN)
        assert [(event.source, event.resource) for event in served.events] == [("mesh", "/a"), ("mesh", "/b")]
        served.bank.sessions.cut(served.bank.sessions.find("principal", "person:alice"), "blocked", "test")
        assert await asyncio.wait_for(call.code(), WITHIN) == grpc.StatusCode.PERMISSION_DENIED


async def test_a_stream_that_nothing_would_hold_is_refused(tmp_path: Path) -> None:
    async with local(tmp_path) as served, served.channel() as channel:
        token = served.bank.token()
        for asked in (check(token, "/streams/1001"), check(token, headers={"upgrade": "websocket"})):
            answer = await AuthorizationStub(channel).Check(asked, timeout=WITHIN)
            assert answer.denied_response.status.code == 403
            assert '"reasons":["not_held"]' in answer.denied_response.body


async def test_headers_that_claim_something_are_taken_away(tmp_path: Path) -> None:
    claims = {"x-user-id": "1", "x_user_name": "2", "x-core-branch": "3", "x-forwarded-host": "4", "txn-token": "5"}
    honest = {
        "x-forwarded-proto": "https",
        "x-forwarded-for": "10.0.0.5",
        "x-envoy-attempt-count": "1",
        "accept": "*/*",
    }
    async with local(tmp_path) as served, served.channel() as channel:
        asked = check(served.bank.token(), headers=claims | honest)
        removed = set((await AuthorizationStub(channel).Check(asked, timeout=WITHIN)).ok_response.headers_to_remove)
        assert removed >= {*claims} - {"txn-token"}  # ours takes the place of the caller's
        assert not removed & {*honest, "txn-token"}
        call = ExternalProcessorStub(channel).Process()
        await call.write(start(served.bank.token(), **claims, **honest))
        mutation = (await call.read()).request_headers.response.header_mutation
        assert set(mutation.remove_headers) >= {*claims} - {"txn-token"}
        assert not set(mutation.remove_headers) & {*honest, "txn-token"}
        call.cancel()


async def test_a_body_of_a_megabyte_is_read(tmp_path: Path) -> None:
    async with local(tmp_path) as served, served.channel() as channel:
        body = b'{"amount": 5, "note": "' + b"x" * 1_000_000 + b'"}'
        answer = await AuthorizationStub(channel).Check(check(served.bank.token(), "/pay", body), timeout=WITHIN)
        assert answer.status.code == 0


@pytest.mark.parametrize("address", ["", "nonsense", "10.0.0.5:x", "fe80::1%eth0"])
async def test_a_stream_from_nowhere_is_not_judged(tmp_path: Path, address: str) -> None:
    async with local(tmp_path) as served, served.channel() as channel:
        call = ExternalProcessorStub(channel).Process()
        await call.write(start(served.bank.token(), address))
        assert await asyncio.wait_for(call.code(), WITHIN) == grpc.StatusCode.INVALID_ARGUMENT
        assert not len(served.bank.sessions)


async def test_what_nobody_serves_or_nobody_can_read_ends_alone(tmp_path: Path) -> None:
    async with local(tmp_path) as served, served.channel() as channel:
        live = ExternalProcessorStub(channel).Process()
        await live.write(start(served.bank.token()))
        await live.read()
        for method, content, code in (
            ("/envoy.service.auth.v3.Authorization/Other", b"", grpc.StatusCode.UNIMPLEMENTED),
            ("/envoy.service.auth.v3.Authorization/Check", b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (
                "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
                b"\xff",
                grpc.StatusCode.INVALID_ARGUMENT,
            ),
            (
                "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
                bytes(200_000),
                grpc.StatusCode.RESOURCE_EXHAUSTED,
            ),
            ("/envoy.service.auth.v3.Authorization/Check", bytes(2_000_000), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(method)(content, timeout=WITHIN)
            assert refused.value.code() == code, method
        silent = channel.stream_unary(CHECK)()
        await silent.done_writing()
        assert await asyncio.wait_for(silent.code(), WITHIN) == grpc.StatusCode.INVALID_ARGUMENT
        assert not live.done()
        assert len(served.bank.sessions) == 1
        live.cancel()


async def test_a_check_that_nobody_waits_for_is_given_up(tmp_path: Path) -> None:
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def ask(attempt: Attempt) -> Answer:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        raise AssertionError

    async with local(tmp_path) as served, served.channel() as channel:
        served.bank.judge.ask = ask  # type: ignore[method-assign]
        call = AuthorizationStub(channel).Check(check(served.bank.token()))
        await asyncio.wait_for(asked.wait(), WITHIN)
        call.cancel()
        await asyncio.wait_for(given_up.wait(), WITHIN)


async def test_who_goes_takes_its_sessions_with_it(tmp_path: Path) -> None:
    async with local(tmp_path) as served, served.channel() as other:
        beside = ExternalProcessorStub(other).Process()
        await beside.write(start(served.bank.token("person:bob")))
        await beside.read()
        async with grpc.aio.insecure_channel(
            f"unix:{served.socket}", [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            call = ExternalProcessorStub(channel).Process()
            await call.write(start(served.bank.token()))
            await call.read()
            assert len(served.bank.sessions) == 2
        await until(lambda: len(served.bank.sessions) == 1, "its session ends")
        beside.cancel()


class Tcp:
    """A port with certificates on both sides."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = Ca("mesh")
        (folder / "ca.pem").write_bytes(self.authority.pem)
        certificate, key = self.authority.leaf(other=(x509.DNSName("localhost"),)).write(folder, "server")
        names = ("spiffe://bank.example/envoy", "envoy.bank.example")
        tls = MutualTls(certificate=certificate, key=key, client_ca=folder / "ca.pem", clients=names)
        self.settings = MeshTcp(port=free_port(), tls=tls)

    def channel(self, client: Any) -> grpc.aio.Channel:
        leaf = client and grpc.ssl_channel_credentials(self.authority.pem, client.key, client.chain)
        credentials = leaf or grpc.ssl_channel_credentials(self.authority.pem)
        return grpc.aio.secure_channel(f"localhost:{self.settings.port}", credentials)


async def test_a_port_answers_only_whom_the_configuration_names(tmp_path: Path) -> None:
    tcp, served = Tcp(tmp_path), Served(tmp_path)
    async with served.serving(Mesh(tcp=tcp.settings), tmp_path):
        for leaf in (
            tcp.authority.leaf("spiffe://bank.example/envoy"),
            tcp.authority.leaf(other=(x509.DNSName("envoy.bank.example"),)),
        ):
            async with tcp.channel(leaf) as channel:
                answer = await AuthorizationStub(channel).Check(check(served.bank.token()), timeout=WITHIN)
                assert answer.status.code == 0
        seen, named, shaken = len(served.bank.seen), cut("not_named"), cut("no_handshake")
        for client in (
            None,
            tcp.authority.leaf("spiffe://bank.example/other"),
            tcp.authority.leaf(other=(x509.RFC822Name("envoy.bank.example"),)),
            Ca("mesh").leaf("spiffe://bank.example/envoy"),
        ):
            async with tcp.channel(client) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await AuthorizationStub(channel).Check(check(served.bank.token()), timeout=WITHIN)
                assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert len(served.bank.seen) == seen
        assert cut("not_named") >= named + 2
        assert cut("no_handshake") >= shaken + 2


async def test_the_file_is_this_uids_alone_or_a_groups(tmp_path: Path) -> None:
    async with local(tmp_path) as served:
        assert stat.S_IMODE(served.socket.stat().st_mode) == 0o600
    group, path = grp.getgrgid(os.getegid()).gr_name, tmp_path / "shared.sock"
    served = Served(tmp_path)
    async with served.serving(Mesh(unix=LocalSocket(path=path, group=group)), tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            answer = await AuthorizationStub(channel).Check(check(served.bank.token()), timeout=WITHIN)
            assert answer.status.code == 0


async def said(served: Served, *parts: bytes) -> bytes:
    """What comes back, until the other end closes."""
    reader, writer = await asyncio.open_unix_connection(str(served.socket))
    try:
        for part in parts:
            writer.write(part)
        async with asyncio.timeout(WITHIN):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("parts", [(), (PREFACE[:10],), (PREFACE, SETTINGS)])
async def test_who_answers_no_ping_is_cut(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    async with local(tmp_path, ping_seconds=0.05) as served:
        before = cut("silent")
        await said(served, *parts)
        assert cut("silent") > before


async def test_a_connection_without_a_stream_ends_in_time_and_well(tmp_path: Path) -> None:
    async with local(tmp_path, ping_seconds=0.02, idle_seconds=0.1) as served:
        before = cut("idle")
        reader, writer = await asyncio.open_unix_connection(str(served.socket))
        writer.write(PREFACE + SETTINGS)
        frames, last = Frames(), None
        list(frames.read(PREFACE))
        async with asyncio.timeout(WITHIN):
            while data := await reader.read(4096):
                for last in frames.read(data):
                    if last.kind == Kind.PING:
                        writer.write(frame(Kind.PING, 1, 0, last.payload))
        assert last is not None
        assert (last.kind, last.payload[4:]) == (Kind.GOAWAY, bytes(4))
        assert cut("idle") == before + 1
        writer.close()


async def test_so_many_connections_and_the_next_waits(tmp_path: Path) -> None:
    async with local(tmp_path, max_connections=2, ping_seconds=0.2) as served:
        silent = [await asyncio.open_unix_connection(str(served.socket)) for _ in range(4)]
        async with served.channel() as channel:
            answer = await AuthorizationStub(channel).Check(check(served.bank.token()), timeout=WITHIN)
        assert answer.status.code == 0
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        PREFACE + frame(Kind.HEADERS, 0, 1, bytes(100)) + frame(Kind.DATA, 0, 1),
        PREFACE + frame(Kind.HEADERS, 0, 1) + frame(Kind.CONTINUATION, 0, 1, bytes(16_000)) * 10,
        PREFACE + frame(Kind.HEADERS, 4, 1, b"\xff\xff\xff"),
    ],
)
async def test_hostile_bytes_end_their_connection_and_nothing_else(tmp_path: Path, hostile: bytes) -> None:
    async with local(tmp_path) as served, served.channel() as channel:
        call = ExternalProcessorStub(channel).Process()
        await call.write(start(served.bank.token()))
        await call.read()
        await said(served, hostile)
        assert not call.done()
        assert len(served.bank.sessions) == 1
        call.cancel()
