"""The parts that benchmarks run: an upstream, an issuer of tokens, a plain Envoy, and Portcullis itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.machine import cpu_seconds, descendants
from bench.result import CannotRun
from bench.streams.frames import framed
from deploy.demo.ports import free_port
from gateway.config import Config
from gateway.edge import ADMIN_SOCKET, GRPC_SOCKET, Ads, EnvoyAdmin, Snapshot, TlsMaterial, envoy_command, resources

DEADLINE = 60.0  # seconds until something must have started
IDLE_DEADLINE = 180.0  # seconds until a system must have finished what it does at its start
IDLE_SHARE = 0.2  # of a core
AUDIENCE = "bank"
_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{http}; location / {{ default_type application/json; return 200 '{{"balance":100}}'; }} }}
  server {{
    listen 127.0.0.1:{grpc} http2; http2_max_concurrent_streams 4096;
    location / {{ default_type application/grpc; add_trailer grpc-status 0; return 200 "{message}"; }}
  }}
}}
"""


@dataclass(frozen=True)
class Running:
    """A system under test."""

    pid: int  # of the process that was started; it may have children
    port: int  # where its edge listens


@contextmanager
def open_folder(name: str) -> Iterator[Path]:
    """A temporary folder that others may enter: started as root, `portcullis up` runs its children as another user."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def tool(name: str, package: str) -> str:
    """Path of a program. Raises CannotRun with the Debian package that has it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise CannotRun(f"needs {name}: install the Debian package {package}")
    return path


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child whose output goes to standard error; ended with the block, gently first."""
    child = await asyncio.create_subprocess_exec(*arguments, stdout=sys.stderr)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), 20)
            except TimeoutError:
                child.kill()
        await child.wait()


async def until(condition: Callable[[], Awaitable[bool]], what: str, child: asyncio.subprocess.Process) -> None:
    """Ask again until it holds. Raises CannotRun when the child ends or the deadline passes before."""
    end = time.monotonic() + DEADLINE
    while not await condition():
        if child.returncode is not None:
            raise CannotRun(f"{what}: the process ended with status {child.returncode}")
        if time.monotonic() > end:
            raise CannotRun(f"{what}: not within {DEADLINE:.0f} s")
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Upstream:
    """Ports of a service that answers whatever it is asked."""

    http: int  # a few bytes of JSON
    grpc: int  # every unary call with the same message


@asynccontextmanager
async def upstream(folder: Path, message: bytes) -> AsyncIterator[Upstream]:
    """nginx with one worker. Calls it answers with `message` and trailers, without reading what is asked: no server of
    gRPC takes less time.
    """
    behind, path = Upstream(free_port(), free_port()), folder / "nginx.conf"
    text = framed(message).decode("latin-1")  # a byte is a character
    settings = _NGINX.format(folder=folder, http=behind.http, grpc=behind.grpc, message=text)
    path.write_text(settings, encoding="latin-1")
    async with process(tool("nginx", "nginx-light"), "-c", str(path), "-e", str(folder / "nginx.log")) as child:
        await until(lambda: _accepts(behind.grpc), "nginx", child)
        yield behind


class Issuer:
    """An OAuth issuer with one ES256 key."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.url = ""

    def token(self, subject: str, typ: str = "at+jwt", **claims: Any) -> str:
        """An RFC 9068 access token that is good for an hour."""
        now = int(time.time())
        times = {"iat": now, "exp": now + 3600, "jti": f"bench-{now}"}
        who = {"iss": self.url, "sub": subject, "aud": AUDIENCE, "client_id": "bench"}
        header = {"typ": typ, "kid": "bench"}
        return jwt.encode({**who, **times, **claims}, self._key, algorithm="ES256", headers=header)

    @property
    def public_key(self) -> str:
        """The key's public half, in PEM."""
        form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return self._key.public_key().public_bytes(*form).decode()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve the JWKS; the issuer's URL."""
        app = web.Application()
        app.router.add_get("/jwks", self._jwks)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self.url
        finally:
            await runner.cleanup()

    async def _jwks(self, request: web.Request) -> web.Response:
        key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        return web.json_response({"keys": [{**key, "kid": "bench", "alg": "ES256", "use": "sig"}]})


@dataclass(frozen=True)
class Plain(Running):
    """An Envoy of stock, with what its configuration can be changed by."""

    config: Config
    ads: Ads


@asynccontextmanager
async def plain_envoy(
    config: Config,
    folder: Path,
    tls: TlsMaterial | None = None,
    changed: Callable[[Snapshot], Snapshot] = lambda stock: stock,
) -> AsyncIterator[Plain]:
    """Envoy with the same listener and routes and none of our filters, or with those `changed`, once it serves."""
    plain = config.model_copy(update={"edge": config.edge.model_copy(update={"port": free_port()})})
    ads, server = Ads(), grpc.aio.server()
    ads.add_to(server)
    server.add_insecure_port(f"unix:{folder / GRPC_SOCKET}")
    ads.publish(changed(resources(plain, judge=False, tls=tls)))
    await server.start()
    try:
        async with process(*envoy_command(plain, folder)) as child:
            await until(EnvoyAdmin(folder / ADMIN_SOCKET).ready, "plain Envoy", child)
            yield Plain(child.pid, plain.edge.port, plain, ads)
    finally:
        await server.stop(None)


@asynccontextmanager
async def portcullis(config: Config, folder: Path) -> AsyncIterator[Running]:
    """`portcullis up` with this configuration, once its edge serves."""
    path = folder / "portcullis.yaml"
    path.write_text(json.dumps(config.model_dump(mode="json", exclude_unset=True)))  # JSON is YAML
    async with process(sys.executable, "-m", "console.cli", "up", "-c", str(path)) as child:
        await until(EnvoyAdmin(config.state / "run" / ADMIN_SOCKET).ready, "portcullis up", child)
        yield Running(child.pid, config.edge.port)


async def until_ok(session: aiohttp.ClientSession, url: str, token: str) -> None:
    """Ask with the token until the answer is 200. Raises CannotRun with what came instead."""
    end, status, text = time.monotonic() + DEADLINE, 0, ""
    while time.monotonic() < end:
        async with session.get(url, headers={"authorization": f"Bearer {token}"}) as answer:
            status, text = answer.status, await answer.text()
        if status == 200:
            return
        await asyncio.sleep(0.1)
    raise CannotRun(f"{url} with a good token was answered with {status}: {text[:200]}")


async def until_idle(side: Running) -> None:
    """Wait until a system that just started has nothing left to do. Raises CannotRun."""
    end = time.monotonic() + IDLE_DEADLINE
    while (busy := await _busy(side.pid)) > IDLE_SHARE:
        if time.monotonic() > end:
            raise CannotRun(f"still uses {busy:.2f} of a core with no load, {IDLE_DEADLINE:.0f} s after its start")


async def _busy(pid: int) -> float:
    before = {child: cpu_seconds(child) for child in descendants(pid)}
    start = time.monotonic()
    await asyncio.sleep(2)
    after = {child: cpu_seconds(child) for child in descendants(pid)}
    spent = sum(seconds - before.get(child, 0.0) for child, seconds in after.items())
    return spent / (time.monotonic() - start)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
