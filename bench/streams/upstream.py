"""A gRPC service that answers every call with one message and then holds it open: `python -m bench.streams.upstream`.

A process of its own; it prints the port that it listens on.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from bench.result import CannotRun
from bench.streams.frames import (
    PREFACE,
    STATUS_200,
    Kind,
    Reader,
    acknowledged,
    block,
    headers,
    message,
    opening,
)

FIRST = b"first"
_ANSWER = bytes([STATUS_200]) + block(("content-type", "application/grpc"))


class Service(asyncio.Protocol):
    """One connection. It keeps nothing of a call: whoever asked ends it."""

    def __init__(self) -> None:
        self._reader = Reader(skip=len(PREFACE))
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Say what we allow."""
        self._transport = transport
        transport.write(opening())

    def data_received(self, data: bytes) -> None:
        """Answer calls, settings and pings."""
        answers = []
        for received in self._reader.feed(data):
            if received.kind == Kind.HEADERS:
                answers += [headers(received.stream, _ANSWER), message(received.stream, FIRST)]
            else:
                answers.append(acknowledged(received))
        self._transport.write(b"".join(answers))


@asynccontextmanager
async def held_upstream() -> AsyncIterator[int]:
    """The service in a process of its own; its port."""
    command = (sys.executable, "-m", "bench.streams.upstream")
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout is not None
        told = await child.stdout.readline()
        if not told:
            raise CannotRun("the upstream did not start")
        yield int(told)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def serve() -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.disable()  # no pause of ours in what is measured
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
