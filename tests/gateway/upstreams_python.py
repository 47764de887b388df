"""Services in Python, in this process, and what they note of each request that they see."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Seen:
    """One request as a service read it."""

    service: str
    target: str
    status: int
    file: str = ""  # that it was answered with, as a path under the folder; "" for none
    caller: str = ""  # `x-caller`: who sent it, by its own word
    transaction: tuple[str, ...] = ()  # the transaction tokens that it came with
    trailers: tuple[str, ...] = ()  # names

    @property
    def forbidden(self) -> bool:
        """Whether it was answered with something that nobody may see."""
        return "/admin" in self.file


async def aiohttp_service(stack: AsyncExitStack, www: Path, noted: list[Seen]) -> int:
    """Files by whatever path aiohttp makes of a target; its port."""

    async def serve(request: web.Request) -> web.StreamResponse:
        file, status = (www / request.match_info["tail"]).resolve(), 404
        echo = "/echo/" in request.raw_path
        await request.read()
        if echo or (file.is_file() and file.is_relative_to(www)):
            status = 200
        named = "" if echo or status == 404 else str(file)
        noted.append(_of_headers("aiohttp", request.raw_path, status, named, request.headers))
        return web.FileResponse(file) if named else web.Response(text=request.raw_path, status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


def _of_headers(service: str, target: str, status: int, file: str, headers: Mapping[str, str]) -> Seen:
    tokens = tuple(value for name, value in headers.items() if name.lower() == "txn-token")
    return Seen(service, target, status, file, headers.get("x-caller", ""), tokens)


def http_server(stack: AsyncExitStack, www: Path, noted: list[Seen]) -> int:
    """http.server, in a thread; its port."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/echo/" not in self.path:
                return super().do_GET()
            self.send_response(200)
            self.send_header("content-length", str(len(self.path)))
            self.end_headers()
            self.wfile.write(self.path.encode("latin-1"))
            return None

        do_POST = do_GET  # noqa: N815

        def send_response(self, code: int, message: str | None = None) -> None:
            target, headers = getattr(self, "path", ""), getattr(self, "headers", {})
            served = self.translate_path(target) if code == 200 and "/echo/" not in target else ""
            noted.append(_of_headers("python", target, code, served, headers))
            super().send_response(code, message)

        def log_message(self, *_: Any) -> None:
            """Nothing: what was seen is written down above."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # connections that wait; its own five are too few for a machine that is busy

        def handle_error(self, *_: Any) -> None:
            """Closed, without a word: such as of a path with a NUL in it, that no file can have."""

    server = Server(("127.0.0.1", 0), partial(Handler, directory=str(www)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return int(server.server_address[1])
