"""The gateway's admin socket, on connections that stay open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.result import CannotRun

_TIMEOUT = aiohttp.ClientTimeout(total=60)


class Admin:
    """What is asked of it and ordered by it. Raises CannotRun for whatever it refuses."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, path: str) -> Any:
        """What stands there."""
        async with self._session.get(f"http://portcullis{path}") as answer:
            return await _read(answer)

    async def block(self, address: str, seconds: float) -> str:
        """Order it; the block's id, once it is durable."""
        order = {"kind": "address", "value": address, "ttl": seconds, "reason": "measured"}
        async with self._session.post("http://portcullis/v1/blocks", json=order) as answer:
            said = await _read(answer)
        if said["outcome"] != "accepted":
            raise CannotRun(f"the gateway did not accept a block: {said}")
        return str(said["block"])

    async def block_all(self, addresses: Sequence[str], seconds: float) -> list[str]:
        """Order all in one request; the blocks' ids, once they are durable."""
        targets = [{"kind": "address", "value": address} for address in addresses]
        order = {"targets": targets, "ttl": seconds, "reason": "measured"}
        async with self._session.post("http://portcullis/v1/blocks/batch", json=order) as answer:
            said = await _read(answer)
        if refused := [each for each in said if each["outcome"] != "accepted"]:
            raise CannotRun(f"the gateway did not accept a block: {refused[0]}")
        return [str(each["block"]) for each in said]


@asynccontextmanager
async def admin(path: Path, connections: int = 4) -> AsyncIterator[Admin]:
    """Connected as long as the block, at most so often at once."""
    connector = aiohttp.UnixConnector(str(path), limit=connections)
    async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
        yield Admin(session)


async def _read(answer: aiohttp.ClientResponse) -> Any:
    if answer.status != 200:
        raise CannotRun(f"{answer.method} {answer.url.path}: {answer.status} {(await answer.text())[:200]}")
    return await answer.json()
