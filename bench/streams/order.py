"""An order: a cut that the running gateway's admin socket is told, by an operator or by what acts for one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.result import CannotRun


@dataclass(frozen=True)
class Order:
    """A connection on which the next cut is ordered."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def cut(self, kind: str, value: str) -> float:
        """Send it; CLOCK_MONOTONIC seconds just before."""
        body = json.dumps({"kind": kind, "value": value, "reason": "measured"}).encode()
        head = f"POST /v1/sessions/cut HTTP/1.1\r\nhost: portcullis\r\ncontent-length: {len(body)}\r\n"
        request = head.encode() + b"content-type: application/json\r\nconnection: close\r\n\r\n" + body
        start = time.monotonic()
        self.writer.write(request)
        return start

    async def answer(self) -> int:
        """Sessions that were cut, as the gateway says. Raises CannotRun when it refused."""
        head, _, body = (await self.reader.read()).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise CannotRun(f"the cut was refused: {head[:40].decode()!r} {body[:200].decode()!r}")
        return int(json.loads(body)["sessions"])


async def told(socket: Path, path: str) -> Any:
    """What the admin API answers to a question."""
    connector = aiohttp.UnixConnector(str(socket))
    async with (
        aiohttp.ClientSession("http://portcullis", connector=connector) as session,
        session.get(path) as answer,
    ):
        return await answer.json()


@asynccontextmanager
async def order(socket: Path) -> AsyncIterator[Order]:
    """Connected to the admin socket, so that connecting is not in what is measured. Raises CannotRun."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError as error:
        raise CannotRun(f"the gateway is gone: {error}") from error
    try:
        yield Order(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()
