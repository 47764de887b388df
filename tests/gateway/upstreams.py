"""Services of several kinds, each of which reads a path in its own way: what they were asked, and what they served.

Each serves the files of its folder: `NAME/public/file`, and `NAME/admin/secret`, which nobody may see; and under
`NAME/echo/` the target as it came. The names: `nginx`, `go` (net/http), `go2` (the same over HTTP/2), `aiohttp` and
`python` (http.server).
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from deploy.demo.ports import free_port
from tests.gateway.edge_rig import until
from tests.gateway.upstreams_python import Seen, aiohttp_service, http_server

NAMES = ("nginx", "go", "go2", "aiohttp", "python")
SECRET = b"for administrators alone"
LARGE = 32 * 1024 * 1024  # bytes of `nginx/large`: more than all buffers on the way
_PEERS_GO = Path(__file__).parents[2] / ".peers" / "go" / "bin"  # which `make peers` brings where there is none
_GO = Path(__file__).parent / "upstream_go"


@dataclass
class Upstreams:
    """All of them."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    noted: list[Seen] = field(default_factory=list)  # by those that run in this process
    _logs: dict[Path, str] = field(default_factory=dict)  # where the others write theirs

    async def seen(self) -> list[Seen]:
        """What they were asked so far, once all of it is written down."""
        last = f"end-{secrets.token_hex(8)}"
        async with aiohttp.ClientSession() as session:
            for name, port in self.ports.items():
                async with session.get(f"http://127.0.0.1:{port}/{name}/echo/{last}") as answer:
                    await answer.read()
        await until(lambda: self._ended(last), "every service has written down what it saw")
        return [one for one in self._all() if "/echo/end-" not in one.target]

    def _ended(self, last: str) -> bool:
        return {one.service for one in self._all() if one.target.endswith(last)} == set(self.ports)

    def _all(self) -> list[Seen]:
        return [*self.noted, *(one for path, service in self._logs.items() for one in _read(path, service))]


def _read(path: Path, service: str) -> Iterator[Seen]:
    for line in path.read_text(errors="replace").split("\n")[:-1]:  # the last one may still be being written
        if not line.startswith("{"):
            continue
        one = json.loads(line)
        tokens = one["transaction"] or ()
        yield Seen(
            # One process has both: which of them it was says the target.
            service="go2" if service == "go" and one["target"].startswith("/go2/") else service,
            target=one["target"],
            status=int(one["status"]),
            file=one["file"] if int(one["status"]) == 200 and "/echo/" not in one["target"] else "",
            caller=one["caller"],
            transaction=(tokens,) if isinstance(tokens, str) else tuple(tokens),
            trailers=tuple(one.get("trailers") or ()),
        )


@asynccontextmanager
async def upstreams(folder: Path) -> AsyncIterator[Upstreams]:
    """Start them; their files, and what they write down, lie in `folder`. Skips where one of them is not to be had."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    go = shutil.which("go") or shutil.which("go", path=str(_PEERS_GO))
    if nginx is None:
        pytest.skip("needs nginx")
    if go is None:
        pytest.skip("needs Go")
    for name in NAMES:
        for file, content in (("public/file", b"public"), ("admin/secret", SECRET), ("admin/index.html", SECRET)):
            path = folder / "www" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (folder / "www" / "nginx" / "large").write_bytes(bytes(LARGE))
    all_of_them = Upstreams(folder)
    async with AsyncExitStack() as stack:
        await _nginx(stack, all_of_them, nginx)
        await _net_http(stack, all_of_them, go)
        all_of_them.ports["aiohttp"] = await aiohttp_service(stack, folder / "www", all_of_them.noted)
        all_of_them.ports["python"] = http_server(stack, folder / "www", all_of_them.noted)
        yield all_of_them


_NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 512; }}
http {{
  log_format seen escape=json '{{"target":"$request_uri","status":"$status","file":"$request_filename",'
                              '"caller":"$http_x_caller","transaction":"$http_txn_token"}}';
  access_log {folder}/nginx.log seen;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  large_client_header_buffers 8 128k;
  server {{
    listen 127.0.0.1:{port}; root {folder}/www;
    location ~ /echo/ {{ return 200 $request_uri; }}
  }}
}}
"""


async def _nginx(stack: AsyncExitStack, upstreams: Upstreams, binary: str) -> None:
    port, settings, log = free_port(), upstreams.folder / "nginx.conf", upstreams.folder / "nginx.log"
    settings.write_text(_NGINX.format(folder=upstreams.folder, port=port))
    log.touch()
    process = await asyncio.create_subprocess_exec(binary, "-p", upstreams.folder, "-e", "stderr", "-c", settings)
    stack.push_async_callback(_ended, process)
    await until(partial(_listens, port), "nginx listens")
    upstreams.ports["nginx"] = port
    upstreams._logs[log] = "nginx"


async def _net_http(stack: AsyncExitStack, upstreams: Upstreams, go: str) -> None:
    binary, log = upstreams.folder / "upstream-go", upstreams.folder / "go.log"
    build = await asyncio.create_subprocess_exec(go, "build", "-o", binary, ".", cwd=_GO)
    assert await build.wait() == 0, "the service in Go does not build"
    with log.open("wb") as lines:
        process = await asyncio.create_subprocess_exec(binary, upstreams.folder / "www", stdout=lines)
    stack.push_async_callback(_ended, process)
    await until(lambda: "\n" in log.read_text(), "the service in Go listens")
    upstreams.ports["go"] = upstreams.ports["go2"] = int(log.read_text())
    upstreams._logs[log] = "go"


async def _ended(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


async def _listens(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /nginx/echo/end-listens HTTP/1.0\r\n\r\n")
    await reader.read()
    writer.close()
    return True
