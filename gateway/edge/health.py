"""Questions to a running Envoy over its admin socket: is it ready, what does it count; and the order to drain."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import aiohttp


class EnvoyAdmin:
    """Envoy's admin interface on its Unix socket. Every call opens a connection of its own, for calls are rare."""

    def __init__(self, socket: Path, timeout: float = 2.0) -> None:
        self._socket = socket
        self._timeout = aiohttp.ClientTimeout(total=timeout)  # seconds

    async def ready(self) -> bool:
        """Whether Envoy has its whole configuration and serves; false too when it cannot be asked."""
        return await self._ask("GET", "/ready") is not None

    async def stats(self, prefix: str = "") -> dict[str, int]:
        """Counters and gauges whose names begin with `prefix`; empty when Envoy cannot be asked."""
        text = await self._ask("GET", "/stats?type=All&format=text") or ""
        lines = (line.rpartition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in lines if name.startswith(prefix) and value.isdecimal()}

    async def drain(self) -> bool:
        """Tell clients to go elsewhere and stop taking connections, gracefully; false when Envoy cannot be asked."""
        return await self._ask("POST", "/drain_listeners?graceful") is not None

    async def _ask(self, method: str, path: str) -> str | None:
        connector = aiohttp.UnixConnector(path=str(self._socket))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._timeout) as session,
                session.request(method, f"http://envoy{path}") as answer,
            ):
                return await answer.text() if answer.status == HTTPStatus.OK else None
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
