"""Hostile bytes on every socket of a running gateway: it lives, goes on answering, and lets nobody pass."""

from __future__ import annotations

import asyncio
import json
import os
import random
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import msgspec
import pytest
import pytest_asyncio
from envoy.service.auth.v3 import external_auth_pb2_grpc
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest

from tests.gateway.questioner import Questioner, asking

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0  # seconds to start, or to answer
GROWTH = 20 * 1024 * 1024  # bytes that the gateway may grow by over everything that is thrown at it
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


@dataclass(frozen=True)
class Child:
    """A gateway in a process of its own, without an edge."""

    process: asyncio.subprocess.Process
    run: Path

    def lives(self) -> bool:
        return self.process.returncode is None

    def rss(self) -> int:
        """Bytes of memory that it holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def files(self) -> int:
        """Files and sockets that it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    async def get(self, socket: str, path: str, **more: Any) -> tuple[int, bytes]:
        connector = aiohttp.UnixConnector(str(self.run / socket))
        timeout = aiohttp.ClientTimeout(DEADLINE)
        async with (
            aiohttp.ClientSession("http://portcullis", connector=connector, timeout=timeout) as session,
            session.request(more.pop("method", "GET"), path, **more) as answer,
        ):
            return answer.status, await answer.read()

    async def check(self) -> None:
        """It lives and answers everywhere."""
        assert self.lives()
        edge = await Questioner.connected(self.run / "judge-0.sock")
        assert (await edge.ask("GET", "/accounts/1", {})).status == 401
        edge.writer.close()
        assert (await self.get("admin.sock", "/v1/status"))[0] == 200
        async with grpc.aio.insecure_channel(f"unix:{self.run / 'mesh.sock'}") as channel:
            asking = external_auth_pb2_grpc.AuthorizationStub(channel)
            assert (await asking.Check(CheckRequest(), timeout=DEADLINE)).denied_response.status.code == 401


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Child]:
    folder = tmp_path_factory.mktemp("hostile")
    config = {
        "state": str(folder / "state"),
        "services": {"accounts": {"address": "127.0.0.1", "port": 9}},
        "routes": [{"prefix": "/", "service": "accounts"}],
        "identity": {"issuers": [{"issuer": "i", "jwks_url": "http://127.0.0.1:9/jwks", "audience": "bank"}]},
        "mesh": {"unix": {}},
    }
    (folder / "portcullis.yaml").write_text(json.dumps(config))
    run = folder / "state" / "run"
    run.mkdir(mode=0o700, parents=True)
    command = [sys.executable, "-m", "console.cli", "run", "gateway", "-c", str(folder / "portcullis.yaml")]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log)
    child = Child(process, run)
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                assert child.lives(), (folder / "log").read_text()[-2000:]
                with suppress(OSError, aiohttp.ClientError):
                    await child.check()
                    break
                await asyncio.sleep(0.05)  # it can only be asked
        yield child
        assert child.lives(), (folder / "log").read_text()[-2000:]
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def throw(path: Path, data: bytes, *, wait: float = 0.05) -> bytes:
    """Send and see what comes back until the other end closes or has said nothing for `wait` seconds."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return b""
    came = b""
    with suppress(OSError):
        writer.write(data)
        async with asyncio.timeout(wait):
            while more := await reader.read(65536):
                came += more
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return came


def h2(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def packed(value: Any) -> bytes:
    return frame(msgspec.msgpack.encode(value))


VERDICTS = {"type": "Verdicts", "verdicts": [], "number": 1}
HTTP = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer " + b"a" * 65536 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \0\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \xff\xfe.\xff.\xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nx: " + b"a" * 1_000_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    b"POST /v1/blocks HTTP/1.1\r\nhost: a\r\ncontent-length: 18\r\n\r\n" + b'{"amount":"\xff"}aaa',
    b"POST /v1/blocks HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n" + b"[" * 60000,
    b"POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n" + b"\xdd\xff\xff\xff\xff" + b"\x91" * 59995,
    b"POST /v1/blocks HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n" + b"a" * 100_000,
    b"GET / HTTP/1.1\r\n" * 2000,
)
HTTP2 = (
    PREFACE,
    PREFACE[:10],
    PREFACE + b"\xff" * 100,
    PREFACE + SETTINGS + h2(1, 4, 1, b"\xff" * 60),
    PREFACE + SETTINGS + h2(1, 4, 0, b"\x82"),
    PREFACE + SETTINGS + h2(0, 0, 1, b"a" * 100),
    PREFACE + SETTINGS + h2(9, 0, 1, b"a" * 1000) * 100,
    PREFACE + SETTINGS + h2(1, 0, 1, b"\x82") + h2(9, 0, 1, b"\x40\x01a\x01a" * 2000) * 20,
    PREFACE
    + SETTINGS
    + b"".join(h2(1, 5, n, b"\x83\x86\x41\x01a") + h2(3, 0, n, b"\0\0\0\x08") for n in range(1, 2000, 2)),
    PREFACE + SETTINGS + h2(8, 0, 0, b"\x7f\xff\xff\xff") * 50,
    PREFACE + b"\xff\xff\xff\x04\0\0\0\0\0" + b"a" * 1000,
    PREFACE + SETTINGS * 2000,
    PREFACE + SETTINGS + h2(6, 0, 0, b"a" * 8) * 2000,
)
FRAMES = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff" + b"a" * 1000,
    frame(b"\xc1"),
    frame(b"\x91" * 100_000),
    frame(b"\xdd\xff\xff\xff\xff"),
    frame(b"\xc6\xff\xff\xff\xffa"),
    frame(b"\xd9\x01\xff"),
    packed({}),
    packed({"type": "Verdicts", "verdicts": [{"score": "x"}], "number": 1}),
    packed(VERDICTS | {"number": 2**63}),
    packed(VERDICTS | {"number": -1}),
    packed(VERDICTS) * 500,
    packed({"type": "hello", "name": "nftables", "targets": [], "version": 1}) + b"\xff" * 20,
    packed({"type": "hello", "name": "edge", "targets": ["principal", "address"], "version": 1}),
    packed({"type": "hello", "name": "nftables", "targets": ["address"], "version": 1})
    + packed({"type": "enforced", "request": 1, "blocks": ["x"]}),
    packed({"type": "hello", "name": "a" * 60_000, "targets": [], "version": 1}),
    packed({"type": "hello", "name": "x", "targets": [], "version": 99}),
    frame(b"a" * 10)[:7],
)
QUESTIONS = (
    asking("GET", "/accounts/1", {}) * 100,
    asking("GET", "/" + "a" * 1_000_000, {"authorization": "Bearer " + "x." * 30_000}),
    asking("POST", "/accounts/1", {"authorization": "Bearer x.y.z", "dpop": "x", "signature-input": "x"}, b"{" * 9000),
    (3 << 20).to_bytes(4, "little") + b"\x01" * 1000,
    b"\xff" * 4 + b"\x01" * 1000,
    b"\0" * 64,
)
BATCHES = (
    bytes(16),
    (12).to_bytes(4, "little") + (5).to_bytes(4, "little") + bytes(8),
    (12 + 34 + 9).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(8) + b"\xff" * 34 + bytes(9),
    (33 << 20).to_bytes(4, "little") + bytes(1000),
    b"\xff" * 1000,
)
SOCKETS = {
    "judge-0.sock": QUESTIONS,
    "access.sock": BATCHES,
    "admin.sock": HTTP,
    "grpc.sock": HTTP2,
    "tether.sock": HTTP2,
    "mesh.sock": HTTP2,
    "detectors.sock": FRAMES,
    "lines.sock": FRAMES,
}
system = pytest.mark.system
together = pytest.mark.asyncio(loop_scope="module")


@system
@together
@pytest.mark.parametrize("name", SOCKETS)
async def test_what_is_hostile_on_one_socket_harms_none(gateway: Child, name: str) -> None:
    """Every message whole, cut short, and after one another; random bytes; then each socket still answers."""
    path, chance = gateway.run / name, random.Random(1)
    thrown = list(SOCKETS[name])
    thrown += [message[: chance.randrange(1, len(message))] for message in thrown]
    thrown += [chance.randbytes(chance.choice((1, 8, 64, 4096))) for _ in range(60)]
    thrown += [other[0] + chance.randbytes(20) for other in SOCKETS.values()]
    for start in range(0, len(thrown), 16):
        answers = await asyncio.gather(*(throw(path, data) for data in thrown[start : start + 16]))
        if name == "judge-0.sock":
            assert not any(b"allow" in answer for answer in answers)
        if name == "admin.sock":
            assert not any(b"HTTP/1.1 5" in answer for answer in answers)
    await gateway.check()


@system
@together
async def test_nobody_is_taken_for_another_line(gateway: Child) -> None:
    """Whoever connects as the edge, or under any name but the agent's, is no line, now or later."""
    for name in ("edge", "", "openc2", "a" * 60_000):
        hello = {"type": "hello", "name": name, "targets": ["principal", "address"], "version": 1}
        assert await throw(gateway.run / "lines.sock", packed(hello) * 2, wait=DEADLINE) == b""
    _, told = await gateway.get("admin.sock", "/v1/lines")
    states = {line["name"]: line["state"] for line in json.loads(told)}
    assert states["edge"] == "up"
    assert states.keys() <= {"edge", "nftables"}


@system
@together
async def test_messages_that_are_no_protobuf(gateway: Child) -> None:
    """Garbage in place of each message of each service ends that call, and no other."""
    process = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
    logs = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
    methods = (
        ("/envoy.service.auth.v3.Authorization/Check", "mesh.sock"),
        (process, "mesh.sock"),
        (process, "tether.sock"),
        (logs, "mesh.sock"),
        (logs, "grpc.sock"),
        ("/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", "grpc.sock"),
        ("/nobody.Knows/This", "mesh.sock"),
        ("/nobody.Knows/This", "grpc.sock"),
    )
    chance = random.Random(2)
    for method, socket in methods:
        async with grpc.aio.insecure_channel(f"unix:{gateway.run / socket}") as channel:
            for data in (b"", b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", chance.randbytes(4000), b"\x0a" * 1_000_000):
                call = channel.stream_stream(method)(iter([data]), timeout=5)
                with suppress(grpc.aio.AioRpcError):
                    async for answer in call:
                        assert isinstance(answer, bytes)
    await gateway.check()


@system
@together
async def test_streams_that_are_held_and_left(gateway: Child) -> None:
    """A thousand tethers that ask for nothing, and connections that say nothing, are held for nobody."""
    opened = gateway.files()
    async with grpc.aio.insecure_channel(f"unix:{gateway.run / 'tether.sock'}") as channel:
        stub = external_processor_pb2_grpc.ExternalProcessorStub(channel)
        calls = [stub.Process() for _ in range(300)]
        await asyncio.gather(*(call.write(ProcessingRequest()) for call in calls[:100]))
        for call in calls[100:]:
            call.cancel()
    silent = [await asyncio.open_unix_connection(str(gateway.run / name)) for name in SOCKETS for _ in range(40)]
    await gateway.check()
    for _, writer in silent:
        writer.close()
    async with asyncio.timeout(DEADLINE):
        while gateway.files() > opened + 8:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # it can only be looked at
    await gateway.check()


@system
@together
async def test_memory_stays_what_it_is(gateway: Child) -> None:
    """What was thrown, thrown again many times over, leaves the gateway no larger."""

    async def all_once() -> None:
        for name, thrown in SOCKETS.items():
            await asyncio.gather(*(throw(gateway.run / name, data, wait=0.02) for data in thrown))

    for _ in range(60):  # caches fill and the allocator's arenas find their size; after that nothing may add up
        await all_once()
    before = gateway.rss()
    for _ in range(40):
        await all_once()
    await gateway.check()
    assert gateway.rss() - before < GROWTH
