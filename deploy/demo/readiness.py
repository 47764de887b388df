"""Waits for a part of the demo to be there: a port that accepts, a gateway that is ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from deploy.demo.admin import Admin, AdminError
from deploy.demo.children import Child

POLL_SECONDS = 0.05


async def accepts(port: int, child: Child, seconds: float = 20.0, address: str = "127.0.0.1") -> None:
    """Wait until a port accepts connections. Raises ChildDied, or TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        child.check()
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            if time.monotonic() > end:
                raise TimeoutError(f"{child.name} does not accept on port {port} after {seconds:g} s") from None
            await asyncio.sleep(POLL_SECONDS)
        else:
            writer.close()
            await writer.wait_closed()
            return


async def ready(admin: Admin, supervisor: Child, lines: Sequence[str], seconds: float = 60.0) -> None:
    """Wait until the gateway says it is ready and each of `lines` is up. Raises ChildDied, or TimeoutError."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        supervisor.check()
        try:
            last = (await admin.ask("GET", "/readyz"), states := await admin.lines())
        except AdminError as error:
            last = error
        else:
            up = {line["name"] for line in states if line["state"] == "up"}
            if up.issuperset(lines):
                return
        await asyncio.sleep(POLL_SECONDS)
    raise TimeoutError(f"Portcullis is not ready after {seconds:g} s: {last}\n{supervisor.last_words()}")
