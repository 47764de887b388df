"""A real Envoy between a tiny upstream and a fake gateway, for tests of the edge alone."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from aiohttp import ClientSession, web
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.ext_proc.v3 import external_processor_pb2 as proc
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as proc_grpc
from google.protobuf.struct_pb2 import Struct

from deploy.demo.ports import free_port
from gateway.config import Config, Edge, Identity, Route, Service, TrustDomain
from gateway.edge import (
    ADMIN_SOCKET,
    EXT_PROC,
    GRPC_SOCKET,
    LOG_SOCKET,
    TETHER_SOCKET,
    Ads,
    EnvoyAdmin,
    ServiceMaterial,
    TlsMaterial,
    envoy_command,
    judge_socket,
    resources,
)
from gateway.enforcement import serve_edge_log
from gateway.routing import Routing
from gateway.trust import Trust, Upstreams
from telemetry import Event
from tests.gateway.questioner import Asked, Reply, serve

ALICE = {
    "x-portcullis-decision": "d-1",
    "x-portcullis-subject": "person:alice",
    "x-portcullis-actor": "agent:bot",
    "x-portcullis-effect": "allow",
}
DEADLINE = 20.0  # seconds; a bound for a busy machine, not an expectation
Answer = Callable[[Asked, bytes], Reply]


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = DEADLINE) -> None:
    """Poll until it holds; fails by name after the deadline."""
    end = time.monotonic() + seconds
    while not (held if isinstance(held := condition(), bool) else await held):
        assert time.monotonic() < end, f"never happened: {what}"
        await asyncio.sleep(0.01)


def allow(request: Asked, body: bytes) -> Reply:
    """The fake gateway's answer: yes."""
    return 200, ALICE, b""


def deny(request: Asked, body: bytes) -> Reply:
    """The fake gateway's answer: no."""
    headers = {
        **ALICE,
        "x-portcullis-effect": "deny",
        "www-authenticate": 'Bearer realm="bank"',
        "x-secret": "internal",
    }
    return 403, {**headers, "content-type": "application/json"}, b'{"error":"access_denied"}'


@dataclass
class FakeGateway(proc_grpc.ExternalProcessorServicer):  # type: ignore[misc]
    """Answers every question with `answer`, tethers every stream until `cut` is set, keeps every log entry."""

    answer: Answer = allow
    routing: Routing | None = None  # for whose routes it answers
    delay: float = 0.0  # seconds before each answer
    asked: list[dict[str, Any]] = field(default_factory=list)
    logs: list[Event] = field(default_factory=list)
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    tethers: int = 0
    tether_headers: list[dict[str, str]] = field(default_factory=list)
    refuse_tether: bool = False

    async def authorize(self, request: Asked, body: bytes) -> Reply:
        self.asked.append(
            {"path": request.raw_path, "method": request.method, "headers": request.headers, "body": body}
        )
        await asyncio.sleep(self.delay)
        status, told, text = self.answer(request, body)
        return status, {"x-portcullis-route": self._bound(request.raw_path.partition("?")[0]), **told}, text

    def _bound(self, path: str) -> str:
        return self.routing.bound(path) if self.routing else ""

    async def Process(self, requests: Any, context: Any) -> Any:  # noqa: N802
        first = await anext(requests)
        headers = {header.key: header.raw_value.decode() for header in first.request_headers.headers.headers}
        self.tether_headers.append(headers)
        if self.refuse_tether:
            yield proc.ProcessingResponse(immediate_response=_immediate(), dynamic_metadata=_metadata("deny"))
            return
        self.tethers += 1
        try:
            yield proc.ProcessingResponse(
                request_headers=_accepted(), dynamic_metadata=_metadata("allow", self._bound(headers[":path"]))
            )
            reading = asyncio.ensure_future(anext(requests, None))
            cutting = asyncio.ensure_future(self.cut.wait())
            done, waiting = await asyncio.wait({reading, cutting}, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            if cutting in done:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "cut")
            if reading.result() is not None:
                yield proc.ProcessingResponse(response_trailers=proc.TrailersResponse())
        finally:
            self.tethers -= 1

    def log_of(self, path: str) -> Event | None:
        return next((event for event in self.logs if event.resource == path), None)


def _accepted() -> proc.HeadersResponse:
    overwrite = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    options = [
        HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode()), append_action=overwrite)
        for name, value in ALICE.items()
    ]
    mutation = proc.HeaderMutation(set_headers=options, remove_headers=["authorization"])
    return proc.HeadersResponse(response=proc.CommonResponse(header_mutation=mutation))


def _immediate() -> proc.ImmediateResponse:
    answer = proc.ImmediateResponse(body=b'{"error":"access_denied"}', details="refused")
    answer.status.code = 403
    header = HeaderValue(key="x-portcullis-decision", raw_value=b"d-1")
    answer.headers.set_headers.append(HeaderValueOption(header=header))
    return answer


def _metadata(effect: str, route: str = "") -> Struct:
    metadata = Struct()
    metadata.update({EXT_PROC: {**ALICE, "x-portcullis-effect": effect, "x-portcullis-route": route}})
    return metadata


@dataclass
class Rig:
    """Everything that a test may look at or break."""

    config: Config
    run: Path
    gateway: FakeGateway
    ads: Ads
    admin: EnvoyAdmin
    http: ClientSession
    seen: list[dict[str, Any]]  # what the upstream was sent
    process: asyncio.subprocess.Process  # Envoy's
    close_authz: Callable[[], Awaitable[None]]
    close_grpc: Callable[[], Awaitable[None]]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.config.edge.port}{path}"

    async def apply(self, config: Config) -> None:
        """Make another configuration what Envoy serves."""
        snapshot = resources(config, True, await material(config), services=await service_material(config))
        assert await self.ads.applied(self.ads.publish(snapshot), DEADLINE), self.ads.state
        self.gateway.routing = Routing(config)

    @asynccontextmanager
    async def reopened(self, ads: Ads) -> AsyncIterator[None]:
        """A new gateway on the gRPC socket, after `close_grpc`."""
        server = await _grpc_server(self.gateway, ads, self.run)
        try:
            yield
        finally:
            await server.stop(None)


async def _upstream(stack: AsyncExitStack, seen: list[dict[str, Any]]) -> int:
    async def echo(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen.append({"path": request.raw_path, "headers": headers, "body": await request.read()})
        if not request.path.startswith("/streams/"):
            return web.Response(
                text="ok", headers={"x-portcullis-decision": "forged", "x-portcullis-subject": "forged"}
            )
        if request.path.endswith("/socket"):
            return await _socket(request)
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"data: 1\n\n")
        if "finite" not in request.path:
            await asyncio.Event().wait()
        return stream

    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", echo)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(runner.addresses[0][1])


class _Ledger(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A gRPC service without a schema: a unary call that answers, and a server stream that never ends."""

    def service(self, call: Any) -> Any:
        return {
            "/bank.Ledger/Balance": grpc.unary_unary_rpc_method_handler(self._balance),
            "/bank.Ledger/Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }.get(call.method)

    async def _balance(self, request: bytes, context: Any) -> bytes:
        return b"balance " + request

    async def _watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()


async def _ledger(stack: AsyncExitStack) -> int:
    server = grpc.aio.server(handlers=(_Ledger(),))
    port = int(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    stack.push_async_callback(server.stop, None)
    return port


async def _socket(request: web.Request) -> web.WebSocketResponse:
    live = web.WebSocketResponse()
    await live.prepare(request)
    await live.send_str("open")
    await live.receive()
    return live


async def _authorizer(stack: AsyncExitStack, gateway: FakeGateway, run: Path) -> Callable[[], Awaitable[None]]:
    """Answers questions and reads the log; the call that ends the answering."""
    logging = asyncio.create_task(serve_edge_log(lambda batch: gateway.logs.extend(batch.events()), run / LOG_SOCKET))
    stack.callback(logging.cancel)
    close = await serve(judge_socket(run, 0), gateway.authorize)
    stack.push_async_callback(close)
    return close


def configuration(
    upstream: int, ledger: int, run: Path, trust_domains: tuple[TrustDomain, ...] = (), **edge: Any
) -> Config:
    """An HTTP service with a stream, a body route and an ordinary one; a gRPC service with a stream."""
    settings = {"port": free_port(), "access_log_flush_ms": 10, **edge}
    return Config(
        state=run.parent,
        edge=Edge(**settings),
        identity=Identity(trust_domains=trust_domains),
        services={
            "accounts": Service(address="127.0.0.1", port=upstream),
            "ledger": Service(address="127.0.0.1", port=ledger, protocol="grpc"),
        },
        routes=(
            Route(prefix="/streams/", service="accounts", stream=True),
            Route(prefix="/payments", service="accounts", body_bytes=200_000),
            Route(prefix="/accounts", service="accounts"),
            Route(prefix="/bank.Ledger/Watch", service="ledger", stream=True),
            Route(prefix="/bank.Ledger/", service="ledger"),
        ),
    )


async def _grpc_server(gateway: FakeGateway, ads: Ads, run: Path) -> grpc.aio.Server:
    server = grpc.aio.server()
    ads.add_to(server)
    proc_grpc.add_ExternalProcessorServicer_to_server(gateway, server)
    for name in (GRPC_SOCKET, TETHER_SOCKET):
        server.add_insecure_port(f"unix:{run / name}")
    await server.start()
    return server


@asynccontextmanager
async def envoy(config: Config, run: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process, ended with the block; what it wrote goes to the test's output."""
    process = await asyncio.create_subprocess_exec(*envoy_command(config, run))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def material(config: Config) -> TlsMaterial | None:
    """What the files of the configuration hold now."""
    trust = Trust(config.edge.tls, config.identity.trust_domains, lambda: None)
    await trust.look()
    return trust.material


async def service_material(config: Config) -> Mapping[str, ServiceMaterial]:
    """The same for its services."""
    upstreams = Upstreams(config.services, lambda: None)
    await upstreams.look()
    return upstreams.material


@asynccontextmanager
async def rig(
    *, publish: bool = True, judge: bool = True, shape: Callable[[Config], Config] = lambda config: config, **edge: Any
) -> AsyncIterator[Rig]:
    """Start everything, publish the configuration and wait until Envoy serves it, unless `publish` is false. `shape`
    makes another configuration of the usual one.
    """
    async with AsyncExitStack() as stack:
        run = Path(tempfile.mkdtemp(prefix="edge-")) / "run"
        run.mkdir()
        stack.callback(shutil.rmtree, run.parent)
        seen: list[dict[str, Any]] = []
        config = shape(configuration(await _upstream(stack, seen), await _ledger(stack), run, **edge))
        gateway, ads = FakeGateway(routing=Routing(config)), Ads()
        authorizer = await _authorizer(stack, gateway, run)
        server = await _grpc_server(gateway, ads, run)
        stack.push_async_callback(server.stop, None)
        process = await stack.enter_async_context(envoy(config, run))
        admin = EnvoyAdmin(run / ADMIN_SOCKET)
        if publish:
            version = ads.publish(
                resources(config, judge, await material(config), services=await service_material(config))
            )
            await until(admin.ready, "Envoy is ready")
            assert await ads.applied(version, DEADLINE)
        http = await stack.enter_async_context(ClientSession())
        yield Rig(
            config,
            run,
            gateway,
            ads,
            admin,
            http,
            seen,
            process,
            close_authz=authorizer,
            close_grpc=lambda: server.stop(None),
        )
