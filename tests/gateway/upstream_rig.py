"""Services to put behind a real edge: with TLS, slow, broken, or counting what they are asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gateway.config import Config, Route, Service

Answers = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """One service of the bank."""

    port: int
    seen: list[tuple[str, str]] = field(default_factory=list)  # method and path
    certificates: list[Any] = field(default_factory=list)  # that the edge showed
    held: asyncio.Event = field(default_factory=asyncio.Event)  # requests to /…/held wait for it


async def _ok(request: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


@asynccontextmanager
async def upstream(
    answers: Answers = _ok, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Upstream]:
    """A service that answers so."""

    async def answer(request: web.Request) -> web.StreamResponse:
        service.seen.append((request.method, request.path))
        transport = request.transport
        service.certificates.append(transport.get_extra_info("peercert") if transport else None)
        if request.path.endswith("/held"):
            await service.held.wait()
        return await answers(request)

    service = Upstream(0)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        service.port = int(runner.addresses[0][1])
        yield service
    finally:
        await runner.cleanup()


def serving(service: Service, **route: Any) -> Callable[[Config], Config]:
    """A configuration with this service behind /accounts, in place of the usual one."""

    def shape(config: Config) -> Config:
        services = {**config.services, "accounts": service}
        first = Route(prefix="/accounts", service="accounts", **route)
        others = tuple(each for each in config.routes if each.prefix != "/accounts")
        return config.model_copy(update={"services": services, "routes": (first, *others)})

    return shape
